"""`headgraft features`: what a network sees in a folder of pictures, as a file to upload."""

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from headgraft.service.local import up


def features(
    folder: Annotated[Path, typer.Argument(help="Pictures, in one folder for each class.")],
    model: Annotated[str, typer.Option(help="The network, by its name in timm.")],
    out: Annotated[Path, typer.Option(help="The safetensors file to write.")],
    weights: Annotated[
        Path | None, typer.Option(help="A file of its weights; without: random ones.")
    ] = None,
    names: Annotated[
        Path | None,
        typer.Option(help="The head's classes in row order, one a line; else the folders' names."),
    ] = None,
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
    """Run a network over a folder of pictures and write what it sees as labelled features."""
    up.require_torch()
    from headgraft.workers.evaluate.features import read_names
    from headgraft.workers.pictures.features import write_features
    from headgraft.workers.pictures.timm_networks import timm_network

    network, transform = timm_network(model, weights)
    written = write_features(
        network,
        folder,
        out,
        regions=regions,
        layer=layer,
        class_names=read_names(names) if names else None,
        transform=transform,
        batch_size=batch_size,
        dtype=dtype,
        progress=True,
    )
    shape, classes = " x ".join(map(str, written.shape)), len(written.class_names)
    sys.stdout.write(f"{out}: features {shape} of {classes} classes\n")
