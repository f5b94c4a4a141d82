"""Lists pictures in one folder per class, as torchvision's ImageFolder lays them out."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from headgraft.models.errors import InjectionError
from headgraft.workers.formats.header import some

SUFFIXES = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")


@dataclass(frozen=True)
class PictureFolder:
    """The pictures, in order, and of each the number of its class among `class_names`."""

    paths: tuple[Path, ...]
    labels: tuple[int, ...]
    class_names: tuple[str, ...]


def find_pictures(folder: Path, class_names: Sequence[str] | None = None) -> PictureFolder:
    """List the pictures below one folder per class; InjectionError naming what does not fit.

    Labels count `class_names`, a head's classes in row order, some of which may have no folder;
    without them the folders' names, sorted.
    """
    if not folder.is_dir():
        raise picture_error(f"{folder} is no folder")
    inner = sorted(path for path in folder.iterdir() if path.is_dir())
    names = tuple(class_names or (path.name for path in inner))
    number_of = {name: number for number, name in enumerate(names)}
    paths: list[Path] = []
    labels: list[int] = []
    for of_class in inner:
        name = of_class.name
        if name not in number_of:
            raise picture_error(f"{of_class}: the head has no class {name!r}; it has {some(names)}")
        pictures = sorted(path for path in of_class.rglob("*") if path.suffix.lower() in SUFFIXES)
        paths += pictures
        labels += [number_of[name]] * len(pictures)
    if not paths:
        legal = ", ".join(SUFFIXES)
        raise picture_error(f"{folder} has no picture in a folder of its class; legal are {legal}")
    return PictureFolder(tuple(paths), tuple(labels), names)


def open_picture(path: Path) -> Image.Image:
    """Read a picture in RGB; InjectionError naming a file that is none."""
    try:
        with Image.open(path) as opened:
            return opened.convert("RGB")
    except (UnidentifiedImageError, OSError, ValueError) as error:
        raise picture_error(f"{path} is no readable picture: {error}") from error


def picture_error(message: str) -> InjectionError:
    """Make the error of a picture, or a folder of them, that cannot be used."""
    return InjectionError(message)
