"""Lists pictures in one folder per class, as torchvision's ImageFolder has it, or in none."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from headgraft.models.errors import InjectionError
from headgraft.workers.formats.header import some

SUFFIXES = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")


@dataclass(frozen=True)
class PictureFolder:
    """The pictures, in order, and of each the number of its class among `class_names`.

    Without class folders `labels` is None. `passed_over` counts pictures beside class folders.
    """

    paths: tuple[Path, ...]
    labels: tuple[int, ...] | None = None
    class_names: tuple[str, ...] = ()
    passed_over: int = 0


def find_pictures(
    folder: Path, class_names: Sequence[str] | None = None, *, unlabelled: bool = False
) -> PictureFolder:
    """List the pictures below one folder per class; InjectionError naming what does not fit.

    Labels count `class_names`, a head's classes in row order, some of which may have no folder;
    without them the folders' names, sorted. Pictures that all lie in the folder itself have no
    label, nor have any if `unlabelled`; `class_names` are not looked at then.
    """
    if not folder.is_dir():
        raise picture_error(f"{folder} is no folder")
    loose = _pictures(folder.rglob("*") if unlabelled else folder.iterdir())
    inner = sorted(path for path in folder.iterdir() if path.is_dir())
    if loose and (unlabelled or not any(_pictures(path.rglob("*")) for path in inner)):
        return PictureFolder(loose)
    names = tuple(class_names or (path.name for path in inner))
    number_of = {name: number for number, name in enumerate(names)}
    paths: list[Path] = []
    labels: list[int] = []
    for of_class in inner:
        name = of_class.name
        if name not in number_of:
            raise picture_error(f"{of_class}: the head has no class {name!r}; it has {some(names)}")
        pictures = _pictures(of_class.rglob("*"))
        paths += pictures
        labels += [number_of[name]] * len(pictures)
    if not paths:
        legal = ", ".join(SUFFIXES)
        raise picture_error(
            f"{folder} has no picture, neither in a folder of its class nor beside such folders; "
            f"legal are {legal}"
        )
    return PictureFolder(tuple(paths), tuple(labels), names, len(loose))


def _pictures(paths: Iterable[Path]) -> tuple[Path, ...]:
    return tuple(sorted(path for path in paths if path.suffix.lower() in SUFFIXES))


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
