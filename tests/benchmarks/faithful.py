"""Holds fast icis against the authors' loop on fold 0 of the Lite0 head, CLIP text.

Rows of the authors' loop are read where they were kept, and trained and kept where not.
"""

import time
from collections.abc import Sequence
from pathlib import Path
from statistics import mean

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.nn.functional import cosine_similarity

from headgraft.models.heads.head import Head
from headgraft.models.heads.rows import equal_distance, regression_rows
from headgraft.models.methods.icis import method
from headgraft.models.methods.icis.settings import IcisSettings
from headgraft.models.metrics import Gzsl
from headgraft.models.progress import Progress, Stopped
from headgraft.models.task import Task
from tests.benchmarks.data import Lite0, read_embeddings, read_lite0
from tests.benchmarks.lite0 import CALIBRATED_SCALE, make_task, score

HINDSIGHT = tuple(0.8 * 1.1**step for step in range(10))
SAMPLE_STEPS = 150


def run_faithful(folder: Path, kept: Path, seeds: Sequence[int]) -> None:
    """Print rows of both loops side by side, and how much faster the fast one is."""
    data = read_lite0(folder)
    unseen_C = data.folds[0]
    task = make_task(data, unseen_C, read_embeddings(folder, "clip_vit_b32_text"))
    truth_UK = torch.cat([data.weight_CD, data.bias_C[:, None]], dim=1)[unseen_C]
    kept.mkdir(parents=True, exist_ok=True)
    # The authors do not centre: one seed shows what that is worth.
    for centre, seed in [*((True, seed) for seed in seeds), (False, seeds[0])]:
        settings: dict[str, object] = {"seed": seed, "centre": centre}
        path = kept / f"rows_{seed}_{'centre' if centre else 'raw'}.safetensors"
        _tell("faithful", settings, _kept(task, path, settings), data, task, truth_UK)
        fast = method.synthesize(
            task, IcisSettings.model_validate(settings), device="cpu", progress=Progress()
        )
        _tell("fast", settings, fast.rows, data, task, truth_UK)
    _compare_speed(task, kept)


def _kept(task: Task, path: Path, settings: dict[str, object]) -> Tensor:
    """Read rows that were kept, or train them; the file says how many steps it took."""
    if path.exists():
        with safe_open(path, framework="pt") as file:
            rows_UK: Tensor = file.get_tensor("rows")
            return rows_UK
    parsed = IcisSettings.model_validate({**settings, "faithful": True})
    counter, began = Counter(), time.perf_counter()
    rows_UK = method.synthesize(task, parsed, device="cpu", progress=Progress(counter)).rows
    seconds = time.perf_counter() - began
    save_file({"rows": rows_UK}, path, {"seconds": str(seconds), "steps": str(counter.steps)})
    return rows_UK


class Counter:
    """Counts steps, and stops a training that has taken enough of them."""

    def __init__(self, limit: int | None = None) -> None:
        self.steps, self._limit = 0, limit

    def __call__(self, _fraction: float, _stage: str, _loss: float | None) -> None:
        """Count one step; Stopped at the limit."""
        self.steps += 1
        if self.steps == self._limit:
            raise Stopped


def _tell(
    label: str,
    settings: dict[str, object],
    rows_UK: Tensor,
    data: Lite0,
    task: Task,
    truth_UK: Tensor,
) -> None:
    head = task.head.with_rows(rows_UK, task.unseen_class_names)
    raw = score(data, data.folds[0], task.head, head)
    scaled = {scale: _at(data, task, head, scale) for scale in (CALIBRATED_SCALE, *HINDSIGHT)}
    best = max(scaled.values(), key=lambda one: one.H)
    cosine = float(cosine_similarity(rows_UK, truth_UK).mean())
    print(
        f"{label} {settings}: cosine to the true rows {cosine:.4f}, T1 {100 * raw.T1:.1f} "
        f"raw H {100 * raw.H:.1f}, H at {CALIBRATED_SCALE} {100 * scaled[CALIBRATED_SCALE].H:.1f}, "
        f"H at the best scale {100 * best.H:.1f}",
        flush=True,
    )


def _at(data: Lite0, task: Task, head: Head, scale: float) -> Gzsl:
    rows_SK = regression_rows(task.head, "cpu").float()
    placed = task.head.with_rows(equal_distance(head.rows, rows_SK, scale), head.class_names)
    return score(data, data.folds[0], task.head, placed)


def _compare_speed(task: Task, kept: Path) -> None:
    """Time both loops in turns; the faithful one by a sample of the steps it is known to take."""
    steps = [_steps(path) for path in sorted(kept.glob("rows_*_centre.safetensors"))]
    authors = IcisSettings.model_validate({"faithful": True, "centre": True})
    ratios = []
    for _ in range(3):
        began = time.perf_counter()
        try:
            sample = Progress(Counter(SAMPLE_STEPS))
            method.synthesize(task, authors, device="cpu", progress=sample)
        except Stopped:
            pass
        faithful = (time.perf_counter() - began) / SAMPLE_STEPS * mean(steps)
        began = time.perf_counter()
        method.synthesize(task, IcisSettings(), device="cpu", progress=Progress())
        ratios.append(faithful / (time.perf_counter() - began))
        print(f"faithful {faithful:.0f} s ({mean(steps):.0f} steps), {ratios[-1]:.0f} times fast")
    print(f"on {torch.get_num_threads()} threads, mean of the ratios {mean(ratios):.0f}")


def _steps(path: Path) -> int:
    with safe_open(path, framework="pt") as file:
        return int(file.metadata()["steps"])
