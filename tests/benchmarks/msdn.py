"""What msdn makes of regions, on a made task in which it is known where attributes are.

    python -m tests.benchmarks.msdn planted    # against averaged features, and the attention
    python -m tests.benchmarks.msdn ablation   # either net alone, both, with and without teaching

The task stands in tests/models/planted_regions.py. Figures are means over five seeds.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from statistics import mean, stdev
from typing import Any

import torch

from headgraft.models.heads.attribute import AttributeHead
from headgraft.models.methods.msdn import method
from headgraft.models.methods.msdn.settings import MsdnSettings
from headgraft.models.metrics import evaluate
from headgraft.models.progress import Progress
from tests.models.planted_regions import Plan, Planted, plant

SEEDS = range(5)
PLAN = Plan()
ABLATION: dict[str, dict[str, Any]] = {
    "attention over regions alone": {"nets": "regions"},
    "attention over attributes alone": {"nets": "attributes"},
    "both, without distillation": {"distillation": 0.0},
    "both, with distillation": {},
}


def fit(planted: Planted, settings: Mapping[str, Any]) -> AttributeHead:
    """Train on a planted task."""
    parsed = MsdnSettings.model_validate(settings)
    return method.synthesize(planted.task, parsed, device="cpu", progress=Progress())


def figures(planted: Planted, head: AttributeHead) -> dict[str, float]:
    """Return T1, u, s and H in per cent, and the attention on planted regions over uniform."""
    test = planted.test
    found = evaluate(head, test.features_NDR, test.labels_N, planted.unseen_C)
    return {key: 100 * getattr(found, key) for key in ("T1", "u", "s", "H")}


def attention_over_uniform(planted: Planted, head: AttributeHead) -> float:
    """Return how much more attention than by chance lies where a shown attribute is planted."""
    is_new_N = planted.unseen_C[planted.test.labels_N]
    weights_NAR = head.attention(planted.test.features_NDR[is_new_N])
    shown_NAR = planted.shown_NAR[is_new_N]
    shown_NA = shown_NAR.any(dim=2)
    mass_P = (weights_NAR * shown_NAR).sum(dim=2)[shown_NA]
    by_chance_P = shown_NAR.float().mean(dim=2)[shown_NA]
    return float((mass_P / by_chance_P).mean())


def table(lines: Mapping[str, list[dict[str, float]]]) -> None:
    """Print means and standard deviations over the seeds."""
    columns = list(next(iter(lines.values()))[0])
    print(f"{'':<34}" + "".join(f"{column:>14}" for column in columns))
    for label, seeds in lines.items():
        cells = []
        for column in columns:
            values = [one[column] for one in seeds]
            cells.append(f"{mean(values):.1f} ± {stdev(values):.1f}")
        print(f"{label:<34}" + "".join(f"{cell:>14}" for cell in cells), flush=True)


def planted_table() -> None:
    """Compare regions with their average."""
    lines: dict[str, list[dict[str, float]]] = {"regions": [], "averaged over regions": []}
    attention = []
    for seed in SEEDS:
        whole = plant(PLAN, seed)
        head = fit(whole, {"seed": seed})
        attention.append(attention_over_uniform(whole, head))
        lines["regions"].append(figures(whole, head))
        poor = whole.averaged()
        lines["averaged over regions"].append(figures(poor, fit(poor, {"seed": seed})))
    table(lines)
    each = ", ".join(f"{one:.1f}" for one in attention)
    print(f"attention on planted regions over uniform: {mean(attention):.1f} ({each})")


def ablation_table() -> None:
    """Leave one part of the method out at a time."""
    lines = {
        label: [
            figures(planted, fit(planted, {"seed": seed, **without}))
            for seed, planted in ((seed, plant(PLAN, seed)) for seed in SEEDS)
        ]
        for label, without in ABLATION.items()
    }
    table(lines)


def main(arguments: Sequence[str]) -> None:
    """Run one of the measurements."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.msdn")
    parser.add_argument("what", choices=("planted", "ablation"))
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    {"planted": planted_table, "ablation": ablation_table}[options.what]()


if __name__ == "__main__":
    main(sys.argv[1:])
