"""What dfzsl costs on a device: the default, the authors' setting, and how busy the device is.

It does not know what the rows are good for. The authors' setting is that of their script for 50
classes (600 virtual features each, 120 epochs of two loops). Needs HEADGRAFT_BENCH_DATA:
    python -m tests.benchmarks.dfzsl_cost                   default alone, two cores: a minute
    python -m tests.benchmarks.dfzsl_cost --device cuda --epochs 120
"""

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from headgraft.models import catalogue
from headgraft.models.features.labelled import LabelledFeatures
from headgraft.models.heads.head import Head
from headgraft.models.methods.dfzsl.settings import CONSTANTS
from headgraft.models.progress import Progress
from headgraft.models.synthesis.tfvaegan import TfvaeganConfig, train
from headgraft.models.task import Task
from tests.benchmarks.clip_b32 import each_fold
from tests.benchmarks.constants import constants_as
from tests.benchmarks.data import bench_folder

AWA2 = (40, 10)
STEPS = 200


class Clock(Progress):
    """Counts the seconds between a stage's first report and the next stage's."""

    def __init__(self) -> None:
        super().__init__()
        self.began: list[tuple[str, float]] = []

    def __call__(self, fraction: float, stage: str, loss: float | None = None) -> None:
        if not self.began or self.began[-1][0] != stage:
            self.began.append((stage, time.perf_counter()))

    def told(self) -> str:
        """Say how long each stage took."""
        ends = [began for _, began in self.began[1:]] + [time.perf_counter()]
        pairs = zip(self.began, ends, strict=True)
        return ", ".join(f"{stage} {end - began:.1f} s" for (stage, began), end in pairs)


def cut(task: Task, seen: int, unseen: int) -> Task:
    """Take the first classes of a task."""
    head = Head(task.head.weight[:seen], None, task.head.class_names[:seen], task.head.metric)
    return Task(
        head,
        task.class_embeddings_SA[:seen],
        task.unseen_class_embeddings_UA[:unseen],
        task.unseen_class_names[:unseen],
    )


def fit(name: str, task: Task, settings: dict[str, Any], device: str) -> None:
    """Run dfzsl once and print its stages' seconds."""
    clock, began = Clock(), time.perf_counter()
    parsed = catalogue.method("dfzsl").parse(settings)
    parsed.synthesize(task, device=device, progress=clock)
    print(f"{name}: {time.perf_counter() - began:.1f} s ({clock.told()})", flush=True)


def busy(device: str) -> None:
    """Print a generator step's time, and the share of it in which the device computes."""
    generator = torch.Generator().manual_seed(0)
    features_ND = torch.nn.functional.normalize(torch.randn(24_000, 512, generator=generator))
    labels_N = torch.arange(40).repeat_interleave(600)
    text_CA = torch.nn.functional.normalize(torch.randn(50, 512, generator=generator))
    seen = LabelledFeatures(features_ND.to(device), labels_N.to(device))

    def steps(count: int) -> None:
        train(seen, text_CA, TfvaeganConfig(epochs=1, steps=count // 2), lambda *_: None, generator)
        torch.cuda.synchronize()

    steps(20)
    began = time.perf_counter()
    steps(STEPS)
    wall = time.perf_counter() - began
    with profile(activities=[ProfilerActivity.CUDA]) as seen_by:
        steps(STEPS)
    computing = sum(one.self_device_time_total for one in seen_by.key_averages()) / 1e6
    print(
        f"generator's step with 5 of the critic's, batch 64: {1000 * wall / STEPS:.2f} ms, "
        f"the device computes for {1000 * computing / STEPS:.2f} ms: {100 * computing / wall:.0f} %"
    )


def main(arguments: Sequence[str]) -> None:
    """Measure on one device."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.dfzsl_cost")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--epochs", type=int, default=0, help="of the authors' 120; 0: none")
    options, folder = parser.parse_args(arguments), bench_folder()
    if folder is None:
        print("skipped: HEADGRAFT_BENCH_DATA is not set")
        return
    ((_, task),) = each_fold(folder, [0], "linear")
    fit("default, 800 + 200 classes", task, {}, options.device)
    fit("with TF-VAEGAN", task, {"generator": "tfvaegan"}, options.device)
    if options.device != "cpu":
        busy(options.device)
    if options.epochs:
        usual = CONSTANTS["paper"]
        virtual = replace(usual.virtual, count=600)
        changed = replace(usual, virtual=virtual, gan=replace(usual.gan, epochs=options.epochs))
        name = f"authors' constants, {AWA2[0]} + {AWA2[1]} classes, {options.epochs} epochs"
        with constants_as(CONSTANTS, "paper", changed):
            fit(name, cut(task, *AWA2), {"preset": "paper"}, options.device)


if __name__ == "__main__":
    main(sys.argv[1:])
