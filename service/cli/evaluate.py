"""`headgraft evaluate`: the accuracy of a head, for those who have labelled features after all."""

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from headgraft.service.local import up


def evaluate(
    head: Annotated[Path, typer.Argument(help="A safetensors file, such as inject wrote it.")],
    features: Annotated[
        Path,
        typer.Option(
            help="Labelled features: .safetensors or .npz (features, labels), or res101.mat."
        ),
    ],
    names: Annotated[
        Path | None, typer.Option(help="The head's classes in row order; else as it says itself.")
    ] = None,
    unseen: Annotated[
        Path | None, typer.Option(help="The injected classes, one a line; else as the head says.")
    ] = None,
    seen_count: Annotated[
        int | None, typer.Option(help="Instead of --unseen: so many first classes are seen.")
    ] = None,
    splits: Annotated[
        Path | None, typer.Option(help="With .mat: the splits; else att_splits.mat beside it.")
    ] = None,
    label_names: Annotated[
        Path | None, typer.Option(help="The classes that labels count; else the head's rows.")
    ] = None,
    head_weight: Annotated[str | None, typer.Option(help="Name of the head's weight.")] = None,
    head_bias: Annotated[str | None, typer.Option(help="Name of the head's bias.")] = None,
    head_metric: Annotated[
        Literal["linear", "cosine"], typer.Option(help="How the head scores features.")
    ] = "linear",
    head_scale: Annotated[float, typer.Option(help="Factor of a cosine head's logits.")] = 1.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Print T1, u, s and H of a head on labelled features, as per-class means."""
    up.require_torch()
    from headgraft.workers.evaluate import output
    from headgraft.workers.evaluate.heads import RowOptions
    from headgraft.workers.evaluate.score import EvaluationRequest, evaluate_head

    options = RowOptions(head_weight, head_bias, head_metric, head_scale)
    request = EvaluationRequest(
        head, features, names, unseen, seen_count, splits, label_names, options
    )
    evaluation = evaluate_head(request)
    text = (output.as_json if as_json else output.as_text)(request, evaluation)
    sys.stdout.write(f"{text}\n")
