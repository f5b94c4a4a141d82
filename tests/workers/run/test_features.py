"""Which of the uploaded pictures a worker looks at."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from headgraft.models.errors import InjectionError
from headgraft.models.heads.head import Head
from headgraft.models.progress import Progress
from headgraft.models.task import Task
from headgraft.workers.jobs import spec as jobs
from headgraft.workers.run import features, job
from headgraft.workers.run.features import choose, read_features
from headgraft.workers.run.job import EncoderRegistry, run_job
from headgraft.workers.run.solve import solve_job
from tests import checkpoints
from tests import features as pictures
from tests.models.builders import make_head
from tests.workers.run.test_job import LIMITS, spec, torch_spec
from tests.workers.torch_files import files


def write(folder: Path, head: Head, each: int = 3, dtype: torch.dtype = torch.float32) -> Path:
    labels_N = torch.arange(head.class_count).repeat(each)
    path = folder / "features.safetensors"
    save_file({"features": head.weight[labels_N].to(dtype), "labels": labels_N.int()}, path)
    return path


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_features_should_be_read_as_they_were_written(tmp_path: Path, dtype: torch.dtype) -> None:
    head = make_head(bias=False)

    found, unlabelled = read_features(write(tmp_path, head, dtype=dtype), head)

    assert found
    assert unlabelled is None
    assert found.labels_N.tolist() == list(range(12)) * 3
    rounded_ND = head.weight.to(dtype).float()[found.labels_N]
    assert torch.equal(found.features_NF, rounded_ND)


def test_blocks_should_be_joined_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    head = make_head(bias=False)
    path = write(tmp_path, head)
    whole, _ = read_features(path, head)
    monkeypatch.setattr(features, "BLOCK_NUMBERS", 5 * head.feature_size)

    in_blocks, _ = read_features(path, head)
    assert whole
    assert in_blocks
    assert torch.equal(in_blocks.features_NF, whole.features_NF)


@pytest.mark.parametrize("generic", [True, False])
def test_pictures_without_a_label_should_come_apart(tmp_path: Path, generic: bool) -> None:
    head, path = make_head(bias=False), tmp_path / "features.safetensors"
    tensors = {"features": head.weight[:4].half(), "labels": torch.tensor([0, -1, 2, -1])}
    metadata = {"generic": "true"} if generic else None
    save_file(tensors, path, metadata)

    labelled, unlabelled = read_features(path, head)

    assert labelled
    assert unlabelled
    assert labelled.labels_N.tolist() == [0, 2]
    assert torch.equal(labelled.features_NF, tensors["features"][[0, 2]].float())
    assert torch.equal(unlabelled.features_ND, tensors["features"][[1, 3]].float())
    assert unlabelled.generic is generic


def test_without_labels_there_should_be_no_labelled_ones(tmp_path: Path) -> None:
    head, path = make_head(), tmp_path / "features.safetensors"
    save_file({"features": head.weight.contiguous()}, path)

    labelled, unlabelled = read_features(path, head)

    assert labelled is None
    assert unlabelled
    assert torch.equal(unlabelled.features_ND, head.weight)
    with pytest.raises(InjectionError, match="reads 7 numbers"):
        read_features(path, make_head(features=7))


def test_a_label_that_no_class_has_should_be_an_error_of_the_users(tmp_path: Path) -> None:
    head, path = make_head(), tmp_path / "features.safetensors"
    labels_N = torch.tensor([0, -1, head.class_count])
    save_file({"features": head.weight[:3].clone(), "labels": labels_N}, path)

    with pytest.raises(InjectionError, match=r"picture 2 \(counted from 0\) has the label 12;"):
        read_features(path, head)


def test_of_too_many_pictures_every_class_should_keep_alike_many() -> None:
    labels_N = torch.tensor([0] * 50 + [3] * 7 + [1] * 2)

    chosen_M = choose(labels_N, 12)

    assert labels_N[chosen_M].bincount().tolist() == [5, 2, 0, 5]
    assert chosen_M.tolist() == sorted(set(chosen_M.tolist()))
    assert torch.equal(chosen_M, choose(labels_N, 12))
    assert choose(labels_N, 59).tolist() == list(range(59))


@pytest.mark.parametrize(
    ("labelled", "others", "kept"),
    [(50, 50, (10, 10)), (3, 50, (3, 17)), (50, 3, (17, 3)), (0, 50, (0, 20)), (8, 9, (8, 9))],
)
def test_pictures_with_and_without_a_label_should_share_the_room(
    labelled: int, others: int, kept: tuple[int, int]
) -> None:
    labels_N = torch.tensor([-1, *[4] * labelled, *[-1] * (others - 1)])

    chosen_M = choose(labels_N, 20)

    known_M = labels_N[chosen_M] == 4
    assert (int(known_M.sum()), int((~known_M).sum())) == kept
    assert chosen_M.tolist() == sorted(set(chosen_M.tolist()))
    assert torch.equal(chosen_M, choose(labels_N, 20))


def test_features_of_another_head_should_be_an_error_of_the_users(tmp_path: Path) -> None:
    with pytest.raises(InjectionError, match="reads 7 numbers") as caught:
        read_features(write(tmp_path, make_head()), make_head(features=7))
    assert caught.value.code == "invalid_features"


def test_a_damaged_file_should_be_an_error_of_the_users(tmp_path: Path) -> None:
    path = tmp_path / "features.safetensors"
    path.write_bytes(b"nothing")

    with pytest.raises(InjectionError, match="cannot be read"):
        read_features(path, make_head())


def run(wanted: jobs.JobSpec, source: Path, file: Path) -> dict[str, Any]:
    report, _ = run_job(
        wanted,
        source,
        source.parent,
        registry=EncoderRegistry(None, source.parent / "cache", "cpu"),
        device="cpu",
        limits=LIMITS,
        progress=Progress(),
        features=file,
    )
    return report.model_dump(mode="json", exclude_unset=True)


def test_a_job_with_features_should_say_what_its_estimate_rests_on(tmp_path: Path) -> None:
    source = checkpoints.write(tmp_path / "in.safetensors")

    report = run(spec(), source, pictures.write(tmp_path / "pictures.safetensors"))

    assert report["estimate"]["pictures"] == 100
    assert "100 labelled features of 20 classes" in report["estimate"]["reasons"][0]


def test_pictures_without_a_label_should_not_pass_for_labelled_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks: list[Task] = []

    def noting(wanted: jobs.JobSpec, parsed: Any, task: Task, **rest: Any) -> Any:
        tasks.append(task)
        return solve_job(wanted, parsed, task, **rest)

    monkeypatch.setattr(job, "solve_job", noting)
    source = checkpoints.write(tmp_path / "in.safetensors")
    labelled = load_file(pictures.write(tmp_path / "labelled.safetensors"))
    features_ND, labels_N = labelled["features"], labelled["labels"]
    mixed = {
        "features": torch.cat([features_ND, features_ND[:30]]),
        "labels": torch.cat([labels_N, torch.full((30,), -1)]),
    }
    save_file(mixed, tmp_path / "mixed.safetensors")
    save_file({"features": features_ND}, tmp_path / "unlabelled.safetensors")

    report = run(spec(), source, tmp_path / "mixed.safetensors")
    without = run(spec(), source, tmp_path / "unlabelled.safetensors")

    both, alone = tasks
    assert both.features
    assert both.unlabelled
    assert (len(both.features.labels_N), len(both.unlabelled.features_ND)) == (100, 30)
    assert alone.features is None
    assert alone.unlabelled
    assert torch.equal(alone.unlabelled.features_ND, features_ND)
    assert report["estimate"]["pictures"] == 100
    assert not any("labelled features" in reason for reason in without["estimate"]["reasons"])


def test_a_torch_head_of_another_size_should_fail_by_the_features_fault(tmp_path: Path) -> None:
    source = files.write(tmp_path / "in.pt", {"state_dict": checkpoints.tensors()})
    file = write(tmp_path, make_head(features=15))

    with pytest.raises(InjectionError, match=r"this head reads 16 numbers") as caught:
        run(torch_spec(), source, file)
    assert (caught.value.code, caught.value.pointer) == ("invalid_features", "/features_id")
