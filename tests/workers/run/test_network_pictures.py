"""Generic pictures through the network that a job names: what a worker sees, or why it does not."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from headgraft.models.progress import Progress, Stopped
from headgraft.workers.formats.find_head import HeadTensors
from headgraft.workers.jobs import spec as jobs
from headgraft.workers.jobs.report import NetworkPictures
from headgraft.workers.pictures import generic, pooled
from headgraft.workers.run.network_pictures import run_pictures
from tests import checkpoints
from tests.service.client.networks import timm_network
from tests.workers.run.test_job import LIMITS, run, spec

SMALL = "test_resnet"
CLASSES = 20


@pytest.fixture(autouse=True)
def few_crops(monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(generic, "CROPS", 2 * len(generic.PICTURES))
    return generic.CROPS


@pytest.fixture(scope="module")
def network() -> nn.Module:
    return timm_network(SMALL, CLASSES)


@pytest.fixture
def source(network: nn.Module, tmp_path: Path) -> Path:
    save_file(network.state_dict(), tmp_path / "net.safetensors")
    return tmp_path / "net.safetensors"


def asked(network: nn.Module, name: str = SMALL, **fields: Any) -> jobs.JobSpec:
    size = network.get_parameter("fc.weight").shape[1]
    tensors = HeadTensors(
        weight="fc.weight", bias="fc.bias", class_count=CLASSES, feature_size=size, dtype="F32"
    )
    head = {**spec().head.model_dump(), "tensors": tensors}
    return spec(**{"head": head, "network": {"timm": name}, **fields})


def seen(
    task: jobs.JobSpec, source: Path, progress: Progress | None = None, **limits: Any
) -> tuple[Any, NetworkPictures]:
    assert task.network
    return run_pictures(
        task,
        task.network,
        source,
        device="cpu",
        limits=replace(LIMITS, **limits),
        progress=progress or Progress(),
    )


def test_the_features_should_be_those_that_a_users_own_machine_sees(
    network: nn.Module, source: Path, few_crops: int
) -> None:
    classifier = network.get_submodule("fc")
    own_ND = pooled.generic_features(network, classifier, None, lambda *_: None)

    unlabelled, told = seen(asked(network), source)

    assert unlabelled.generic
    torch.testing.assert_close(unlabelled.features_ND, own_ND)
    assert told == NetworkPictures(timm=SMALL, pictures=few_crops)


def test_a_job_should_report_the_pictures_and_the_time_they_took(
    network: nn.Module, source: Path, few_crops: int
) -> None:
    report = run(asked(network), source)

    assert report["network"] == {"timm": SMALL, "pictures": few_crops}
    assert report["seconds"]["pictures"] > 0
    assert report["seen_rows"]["bit_identical"] is True


def test_a_network_that_cannot_be_run_should_leave_the_head_and_say_why(
    network: nn.Module, source: Path
) -> None:
    report = run(asked(network, "test_resnett"), source)

    why = "no picture was run through timm:test_resnett: timm has no network 'test_resnett'; it has"
    assert report["network"]["skipped"].startswith(f"{why} test_resnet,")
    assert report["network"]["skipped"] in report["reasons"]
    assert report["seen_rows"]["bit_identical"] is True
    assert why in (source.parent / "report.html").read_text().replace("&#39;", "'")


def test_a_head_that_is_not_the_networks_classifier_should_be_told(
    network: nn.Module, source: Path
) -> None:
    other = asked(network).head.located.model_copy(update={"weight": "layer4.0.conv1.weight"})
    head = {**asked(network).head.model_dump(), "tensors": other}

    unlabelled, told = seen(asked(network, head=head), source)

    assert unlabelled is None
    assert "the head found, 'layer4.0.conv1.weight', is not the classifier" in str(told.skipped)


def test_a_network_beyond_the_memory_allowed_should_not_be_built(
    network: nn.Module, source: Path
) -> None:
    _, told = seen(asked(network), source, memory_bytes=1000)
    assert "HEADGRAFT_CONVERT_MEMORY_BYTES of this worker is 1000" in str(told.skipped)


def test_a_defect_of_the_network_should_be_told_in_a_line(
    network: nn.Module, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("Input height (160) doesn't match\nmore of it")

    monkeypatch.setattr(type(network), "forward", fail)

    _, told = seen(asked(network), source)

    assert str(told.skipped).endswith("AssertionError: Input height (160) doesn't match")


def test_a_stop_should_be_heard_between_batches(network: nn.Module, source: Path) -> None:
    class StopsAtOnce(Progress):
        def check(self) -> None:
            raise Stopped

    with pytest.raises(Stopped):
        seen(asked(network), source, StopsAtOnce())


def test_a_file_of_the_head_alone_should_be_told(network: nn.Module, tmp_path: Path) -> None:
    state = network.state_dict()
    head = {name: state[name] for name in ("fc.weight", "fc.bias")}

    _, told = seen(asked(network), checkpoints.write(tmp_path / "head", head))

    why = f"the checkpoint has no tensor 'conv1.0.weight', which '{SMALL}' has"
    assert why in str(told.skipped)
