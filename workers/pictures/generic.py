"""Crops of openly licensed pictures that ship inside scikit-image and scikit-learn.

They show anything at all: what a head makes of them tells how to place new rows beside its old
ones where there is no picture of its own classes. Nothing is downloaded. The pictures, what they
show, and the licence that the package's own documentation states:

| file | picture | licence |
|---|---|---|
| astronaut.png | Eileen Collins, NASA | public domain |
| brick.png | a brick wall, CC0Textures | CC0 |
| camera.png | a photographer, Lav Varshney | CC0 |
| cell.png | a cell in saline, Paul Müller and others | CC0 |
| chelsea.png | a cat, Stefan van der Walt | CC0 |
| clock_motion.png | a blurred clock, Stefan van der Walt | public domain |
| coffee.png | a cup of coffee, Rachel Michetti | CC0 |
| coins.png | Greek coins, Brooklyn Museum | no known copyright restrictions |
| color.png | a colour wheel, scikit-image | BSD-3-Clause |
| grass.png | grass, DeviantArt linolafett | CC0 |
| gravel.png | gravel, CC0Textures | CC0 |
| horse.png | a silhouette, Andreas Preuss | CC0 |
| hubble_deep_field.jpg | galaxies, NASA | public domain |
| ihc.png | stained tissue, CMMI | no known copyright restrictions |
| logo.png | a drawing, scikit-image | BSD-3-Clause |
| microaneurysms.png | detail of a retina, Andreas Maier | CC0 |
| phantom.png | the Shepp-Logan phantom, scikit-image | BSD-3-Clause |
| retina.jpg | a retina, Mikael Häggström | CC0 |
| rocket.jpg | the start of a Falcon 9, SpaceX | public domain |
| text.png | handwriting, Wikipedia | no known copyright restrictions |
| china.jpg | a temple, danielbuechele | CC BY 2.0 |
| flower.jpg | a flower, vultilion | CC BY 2.0 |

The two packages hold more pictures; those whose origin states no licence are left out.
"""

import math
import random
from collections.abc import Iterator
from importlib.util import find_spec
from itertools import islice
from pathlib import Path

from PIL import Image

from headgraft.workers.pictures.folder import picture_error

SKIMAGE = (  # noqa: SIM905
    "astronaut.png brick.png camera.png cell.png chelsea.png clock_motion.png coffee.png coins.png "
    "color.png grass.png gravel.png horse.png hubble_deep_field.jpg ihc.png logo.png "
    "microaneurysms.png phantom.png retina.jpg rocket.jpg text.png"
).split()
SKLEARN = ("china.jpg", "flower.jpg")
PICTURES = (
    *(("skimage", f"data/{name}") for name in SKIMAGE),
    *(("sklearn", f"datasets/images/{name}") for name in SKLEARN),
)
# What the crops are like, and how many: read by the client and by the worker alike.
CROPS = 46 * len(PICTURES)
AREA_MIN, AREA_MAX = 0.1, 1.0
RATIO_MAX = 4 / 3
SEED = 0
# Floating-point operations of all crops together: about a minute on two cores. A network that
# takes more for one picture sees fewer crops, never fewer than CROPS_MIN.
OPERATIONS_MAX = 4 * 10**12
CROPS_MIN = 64
OPERATIONS_EACH_MAX = 10**12


def crop_count(operations: int) -> int:
    """Return how many crops to run through a network that takes so many operations for one.

    It depends on the network alone, so that every machine takes the same. InjectionError where one
    picture takes more than OPERATIONS_EACH_MAX.
    """
    if operations > OPERATIONS_EACH_MAX:
        raise picture_error(
            f"the network takes {operations:.2g} operations for one picture; the limit is "
            f"{OPERATIONS_EACH_MAX:.2g}"
        )
    return min(CROPS, max(CROPS_MIN, OPERATIONS_MAX // operations))


def generic_crops(count: int = CROPS) -> Iterator[Image.Image]:
    """Yield the first `count` crops, always the same ones, of each picture alike many."""
    return islice(_crops(), count)


def _crops() -> Iterator[Image.Image]:
    # Its numbers are the same in every version of Python.
    generator = random.Random(SEED)  # noqa: S311  # nothing secret
    pictures = [_on_white(package_folder(package) / inside) for package, inside in PICTURES]
    for _ in range(CROPS // len(PICTURES)):
        for picture in pictures:
            yield picture.crop(_box(*picture.size, generator))


def _box(width: int, height: int, generator: random.Random) -> tuple[int, int, int, int]:
    """Draw a box of AREA_MIN to AREA_MAX of the area, and of an aspect near to a square's."""
    area = width * height * (AREA_MIN + (AREA_MAX - AREA_MIN) * generator.random())
    ratio = math.exp((2 * generator.random() - 1) * math.log(RATIO_MAX))
    across = min(width, round(math.sqrt(area * ratio)))
    down = min(height, round(math.sqrt(area / ratio)))
    left = int(generator.random() * (width - across + 1))
    top = int(generator.random() * (height - down + 1))
    return left, top, left + across, top + down


def _on_white(path: Path) -> Image.Image:
    """Read a picture in RGB; what is transparent is white."""
    with Image.open(path) as opened:
        picture = opened.convert("RGBA")
    white = Image.new("RGBA", picture.size, "white")
    return Image.alpha_composite(white, picture).convert("RGB")


def package_folder(package: str, extra: str | None = None) -> Path:
    """Return where a package lies, which is not imported; ModuleNotFoundError without it.

    The error says how to install the extra that brings it, if one is named.
    """
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        advice = f": pip install 'headgraft[{extra}]'" if extra else ""
        raise ModuleNotFoundError(f"package {package!r} is not installed{advice}", name=package)
    return Path(spec.submodule_search_locations[0])
