"""The ICIS paper's methods, ridge and auto on the Lite0 head: accuracy, seconds and memory.

Needs HEADGRAFT_BENCH_DATA. On two cores, in minutes:
    python -m tests.benchmarks.icis table      all methods, folds 0-2, two embeddings, 3 seeds: 60
    python -m tests.benchmarks.icis ablation   the paper's five steps, fold 0: 5
    python -m tests.benchmarks.icis few        900, 450, 225 and 100 seen classes, fold 0: 8
    python -m tests.benchmarks.icis faithful --rows FOLDER    the authors' loop, fold 0: 60
`faithful` keeps its rows in a folder of yours and reads those that it finds there.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import mean

from headgraft.models import catalogue
from headgraft.models.selection.solve import AUTO
from tests.benchmarks.data import bench_folder
from tests.benchmarks.faithful import run_faithful
from tests.benchmarks.family import Measured, Plan, cell, measure

EMBEDDINGS = ("clip_vit_b32_text", "conceptnet+wiki2vec")
SEEDS = (0, 1, 2)
SEEN = (0, 450, 225, 100)
ABLATION = (
    ("MLP, squared error", {"terms": "mlp", "loss": "mse"}),
    ("MLP, cosine", {"terms": "mlp"}),
    ("+ both autoencoders", {"terms": "autoencoders"}),
    ("+ cross terms", {"terms": "cross_terms"}),
    ("+ unseen descriptors", {"terms": "all"}),
)
HEADER = """| {} | T1 | u raw | s raw | H raw | u | s | H | seconds | GiB |
|---|---|---|---|---|---|---|---|---|---|"""


def line(label: str, found: Measured) -> str:
    """Write a table's line: T1 and accuracies raw, accuracies calibrated, seconds of one fit."""
    known = found.raw or found.calibrated
    cells = [cell(known, "T1")]
    cells += [cell(found.raw, key) for key in ("u", "s", "H")]
    cells += [cell(found.calibrated, key) for key in ("u", "s", "H")]
    seconds = f"{mean(found.seconds):.2f}" if found.seconds else ""
    return f"| {label} | {' | '.join(cells)} | {seconds} | {found.peak_gib:.1f} |"


def table(folder: Path, methods: Sequence[str], embeddings: Sequence[str]) -> None:
    """Print every method on folds 0-2; the spread is over folds and seeds."""
    for embedding in embeddings:
        print(HEADER.format(embedding))
        for method in methods:
            plan = Plan(method, embedding, (0, 1, 2), SEEDS)
            print(line(f"`{method}`", measure(folder, plan)), flush=True)


def ablation(folder: Path) -> None:
    """Print the paper's five steps, each with everything above it."""
    print(HEADER.format("step"))
    for label, settings in ABLATION:
        plan = Plan("icis", EMBEDDINGS[0], (0,), SEEDS, dict(settings))
        print(line(label, measure(folder, plan)), flush=True)


def few(folder: Path) -> None:
    """Print what is left when fewer classes are seen; the seed draws which."""
    print(HEADER.format("seen classes"))
    for method in ("icis", "ridge"):
        for seen in SEEN:
            # ridge draws nothing: its spread would need seeds that it does not have.
            plan = Plan(method, EMBEDDINGS[0], (0,), SEEDS, seen=seen)
            print(line(f"{seen or 900}, `{method}`", measure(folder, plan)), flush=True)


def main(arguments: Sequence[str]) -> None:
    """Run one of the tables."""
    linear = [name for name in catalogue.names() if "joint_embeddings" not in _needs(name)]
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.icis")
    parser.add_argument("what", choices=("table", "ablation", "few", "faithful"))
    parser.add_argument("--methods", default=",".join([AUTO, *linear]), help="joined by commas")
    parser.add_argument("--embeddings", default=",".join(EMBEDDINGS), help="joined by commas")
    parser.add_argument("--rows", type=Path, help="where faithful rows are kept")
    options, folder = parser.parse_args(arguments), bench_folder()
    if folder is None:
        print("skipped: HEADGRAFT_BENCH_DATA is not set")
    elif options.what == "table":
        table(folder, options.methods.split(","), options.embeddings.split(","))
    elif options.what == "ablation":
        ablation(folder)
    elif options.what == "few":
        few(folder)
    elif options.rows is None:
        parser.error("--rows FOLDER is needed: an hour's rows are worth keeping")
    else:
        run_faithful(folder, options.rows, SEEDS)


def _needs(name: str) -> frozenset[str]:
    return catalogue.method(name).needs


if __name__ == "__main__":
    main(sys.argv[1:])
