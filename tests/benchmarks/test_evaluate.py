"""`evaluate` on files against the benchmark in memory, on real pictures; skipped without data."""

from dataclasses import astuple
from pathlib import Path

import pytest
from safetensors.torch import save_file

from headgraft.models import catalogue
from headgraft.models.heads import checkpoint
from headgraft.models.heads.stored import StoredLayer
from headgraft.models.progress import Progress
from headgraft.workers.evaluate.score import EvaluationRequest, evaluate_head
from tests.benchmarks.data import bench_folder, read_embeddings, read_lite0
from tests.benchmarks.lite0 import make_task, run_fold

pytestmark = pytest.mark.soak


def test_a_written_head_should_score_as_the_benchmark_does(tmp_path: Path) -> None:
    folder = bench_folder()
    if folder is None:
        pytest.skip("HEADGRAFT_BENCH_DATA is not set")
    data, embeddings_CA = read_lite0(folder), read_embeddings(folder, "clip_vit_b32_text")
    hidden_C = data.folds[0]
    task = make_task(data, hidden_C, embeddings_CA)
    parsed = catalogue.row_method("ridge").parse({})
    unseen = parsed.synthesize(task, device="cpu", progress=Progress())
    assert task.head.bias is not None
    old = {"fc.weight": task.head.weight, "fc.bias": task.head.bias}
    save_file(old, tmp_path / "seen.safetensors")
    checkpoint.write_extended(
        tmp_path / "seen.safetensors",
        tmp_path / "head.safetensors",
        layers=[StoredLayer("fc.weight", "fc.bias", task.head.feature_size)],
        unseen=unseen,
        class_names=[*task.head.class_names, *unseen.class_names],
    )
    # The pictures' labels count all 1000 classes, not the extended head's rows.
    every = [f"{index} {name}" for index, name in enumerate(data.class_names)]
    (tmp_path / "classes").write_text("\n".join(every), encoding="utf-8")

    evaluation = evaluate_head(
        EvaluationRequest(
            tmp_path / "head.safetensors",
            folder / "lite0_images.safetensors",
            label_names=tmp_path / "classes",
        )
    )

    expected = run_fold(data, hidden_C, embeddings_CA, "ridge", {}).raw
    assert astuple(evaluation.scores) == pytest.approx(astuple(expected), abs=1e-9)
    assert (evaluation.seen.classes, evaluation.unseen.classes) == (900, 100)
    assert evaluation.notes == ()
