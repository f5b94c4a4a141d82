"""The options of `headgraft inject`."""

import os
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from headgraft.service.cli import inject as cli_inject
from headgraft.service.cli import parsing, vectors
from headgraft.workers.names.files import read_names


def inject(
    checkpoint: Annotated[
        Path,
        typer.Argument(
            help="A safetensors or torch file (.pt, .pth, .bin, .ckpt, .pth.tar), or the folder of "
            "a Hugging Face or timm model."
        ),
    ],
    add: Annotated[
        list[str] | None, typer.Option(help="A class to add: 'NAME' or 'NAME: description'.")
    ] = None,
    add_file: Annotated[
        Path | None, typer.Option(help="Classes to add, in a file as --names takes it.")
    ] = None,
    names: Annotated[
        Path | None,
        typer.Option(
            help="The head's classes in row order: text, one a line, JSON (id2label, label2id, "
            "class_to_idx, a list), CSV or YAML; without: as the file itself names them."
        ),
    ] = None,
    allow_twins: Annotated[
        bool,
        typer.Option("--allow-twins", help="Add a class that is another in another spelling, too."),
    ] = False,
    key: Annotated[
        str | None,
        typer.Option(help="Of a torch file with several state dicts: the one to extend."),
    ] = None,
    allow_ungrown: Annotated[
        list[str] | None,
        typer.Option(help="A tensor with a row a class that may stay as it is; '*': any."),
    ] = None,
    head_weight: Annotated[str | None, typer.Option(help="Name of the head's weight.")] = None,
    head_bias: Annotated[str | None, typer.Option(help="Name of the head's bias.")] = None,
    metric: Annotated[
        Literal["linear", "cosine"] | None, typer.Option(help="How the head scores features.")
    ] = None,
    scale: Annotated[float | None, typer.Option(help="Factor of a cosine head's logits.")] = None,
    method: Annotated[str | None, typer.Option(help="See `headgraft methods`.")] = None,
    setting: Annotated[list[str] | None, typer.Option(help="name=value of the method.")] = None,
    prefer: Annotated[
        str | None, typer.Option(help="old, balanced or new: which classes to favour.")
    ] = None,
    max_seen_loss: Annotated[
        float | None, typer.Option(help="Points of old accuracy that may be lost at most.")
    ] = None,
    seen_accuracy: Annotated[
        float | None, typer.Option(help="The head's own accuracy, 0 to 1, where it is known.")
    ] = None,
    budget: Annotated[
        float | None, typer.Option(help="Seconds that `auto` may spend on candidates.")
    ] = None,
    timeout: Annotated[
        int | None, typer.Option(help="Seconds that the job may run at most.")
    ] = None,
    encoder: Annotated[str | None, typer.Option(help="Text encoder of the workers.")] = None,
    class_embeddings: Annotated[
        Path | None,
        typer.Option(
            help="Vectors of the classes in place of a text encoder's: .npz, .safetensors or "
            ".json with `seen` and `unseen`, a row a class."
        ),
    ] = None,
    attributes: Annotated[
        Path | None,
        typer.Option(help="The same of attributes; `attribute_names`, if they are there, too."),
    ] = None,
    features: Annotated[
        Path | None,
        typer.Option(help="Features to calibrate by, or with --network a folder of pictures."),
    ] = None,
    network: Annotated[
        str | None, typer.Option(help="timm:NAME, the network that the checkpoint is of.")
    ] = None,
    metadata: Annotated[list[str] | None, typer.Option(help="key=value to find it by.")] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Where to write the extended file, by its suffix: .safetensors, or of a torch "
            "file a torch file; .onnx, .npz: the head alone, .json: its labels."
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite what lies there.")] = False,
    url: Annotated[
        str | None, typer.Option("--url", envvar="HEADGRAFT_URL", help="URL of the service.")
    ] = None,
) -> None:
    """Add classes to a checkpoint; without a service, one is started for the occasion."""
    arguments = cli_inject.InjectArguments(
        checkpoint=checkpoint,
        add=parsing.added(add or [], add_file),
        names=read_names(names) if names else None,
        allow_twins=allow_twins,
        key=key,
        allow_ungrown=allow_ungrown,
        head=parsing.given(weight=head_weight, bias=head_bias, metric=metric, scale=scale),
        method=method,
        settings=parsing.parse_settings(setting or []) or None,
        embeddings=vectors.embeddings(encoder, class_embeddings, attributes),
        calibration=parsing.given(
            prefer=prefer,
            seen_loss_points=max_seen_loss,
            seen_accuracy=seen_accuracy,
            budget_seconds=budget,
        ),
        timeout_seconds=timeout,
        features=features,
        network=parsing.parse_network(network) if network else None,
        metadata=parsing.parse_metadata(metadata or []) or None,
        target=out,
        may_overwrite=force,
    )
    api_key = os.environ.get("HEADGRAFT_API_KEY")
    line = cli_inject.carry_out(arguments, url, api_key, Console(stderr=True))
    sys.stdout.write(f"{line}\n")
