"""`headgraft features`: what a network sees in a folder of pictures, as a file to upload."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console

from headgraft.service.cli.parsing import TypedError
from headgraft.service.local import up

if TYPE_CHECKING:
    from headgraft.workers.pictures.features import Written


def features(
    folder: Annotated[
        Path,
        typer.Argument(help="Pictures: in one folder for each class, or without class folders."),
    ],
    model: Annotated[str, typer.Option(help="The network, by its name in timm.")],
    out: Annotated[Path, typer.Option(help="The safetensors file to write.")],
    weights: Annotated[
        Path | None, typer.Option(help="A file of its weights; without: random ones.")
    ] = None,
    names: Annotated[
        Path | None,
        typer.Option(help="The head's classes in row order, one a line; else the folders' names."),
    ] = None,
    unlabelled: Annotated[
        bool, typer.Option("--unlabelled", help="Take all pictures below, and write no labels.")
    ] = False,
    generic: Annotated[
        bool,
        typer.Option("--generic", help="Without labels: they show anything, not the head's field."),
    ] = False,
    regions: Annotated[
        bool, typer.Option("--regions", help="Keep regions apart: the feature map, not pooled.")
    ] = False,
    layer: Annotated[
        str | None, typer.Option(help="The module whose output is the map; else the last map.")
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Pictures at once.")] = 32,
    dtype: Annotated[
        Literal["float16", "float32"] | None,
        typer.Option(help="Of the file; float32, with regions float16."),
    ] = None,
) -> None:
    """Run a network over a folder of pictures and write what it sees as features."""
    up.require_torch()
    from headgraft.workers.evaluate.features import read_names
    from headgraft.workers.pictures.features import timm_network, write_features

    network, transform = timm_network(model, weights)
    written = write_features(
        network,
        folder,
        out,
        regions=regions,
        layer=layer,
        class_names=read_names(names) if names else None,
        unlabelled=unlabelled,
        generic=generic,
        transform=transform,
        batch_size=batch_size,
        dtype=dtype,
        progress=True,
    )
    said = f"{out}: {_described(written, folder, unlabelled=unlabelled)}"
    if names and not written.class_names:
        said += f"; {names} was not needed: labels alone count classes"
    sys.stdout.write(f"{said}\n")


@contextmanager
def features_file(
    features: Path | None,
    network: Mapping[str, str] | None,
    weights: Path,
    names: Sequence[str] | None,
    console: Console,
) -> Iterator[Path | None]:
    """Yield a file of features: the one given, or one written of a folder of pictures.

    The folder's are what `network` sees with these weights; labels count `names`, else the classes
    that the file of weights names. TypedError or InjectionError where that fails.
    """
    if features is None or features.is_file():
        if network:
            raise TypedError("--network goes with a folder of pictures as --features")
        yield features
        return
    if not features.is_dir():
        raise TypedError(f"there is no file of features {features}, nor a folder of pictures")
    if network is None:
        raise TypedError(
            f"{features} is a folder of pictures: name the network whose weights {weights} holds, "
            "as --network timm:NAME"
        )
    up.require_torch()
    with TemporaryDirectory(prefix="headgraft-") as scratch:
        target = Path(scratch) / "features.safetensors"
        written = _look(features, network["timm"], weights, names, target)
        console.print(f"{features}: {_described(written, features)}", highlight=False)
        yield target


def _look(
    folder: Path, model: str, weights: Path, names: Sequence[str] | None, target: Path
) -> "Written":
    from headgraft.workers.evaluate.features import names_in
    from headgraft.workers.evaluate.heads import read_metadata
    from headgraft.workers.pictures.features import timm_network, write_features
    from headgraft.workers.pictures.folder import find_pictures

    if not names and weights.suffix == ".safetensors":
        names = names_in(read_metadata(weights), weights)
    if not names and find_pictures(folder).labels is not None:
        raise TypedError(
            f"{folder} has class folders, and labels count the head's classes in row order: list "
            "them with --names"
        )
    network, transform = timm_network(model, weights)
    return write_features(
        network, folder, target, class_names=names, transform=transform, progress=True
    )


def _described(written: "Written", folder: Path, *, unlabelled: bool = False) -> str:
    """Say what was written, and why there are no labels where there are none."""
    said = f"features {' x '.join(map(str, written.shape))} "
    if written.class_names:
        said += f"of {len(written.class_names)} classes"
    else:
        said += f"without labels, {'as asked' if unlabelled else f'{folder} has no class folders'}"
    if written.passed_over:
        said += f"; {written.passed_over} pictures beside the class folders were left out"
    return said
