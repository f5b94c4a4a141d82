"""`headgraft inject --network`: a real worker runs the network, as Python does with its own."""

import re
import subprocess
from pathlib import Path

import pytest
from safetensors.torch import save_file
from torch import nn

from headgraft import Headgraft
from headgraft.service.cli.parsing import TypedError, parse_network
from headgraft.service.schemas.injections import InjectionResource
from headgraft.workers.jobs.report import Report
from headgraft.workers.pictures.generic import CROPS
from tests import checkpoints, command
from tests.processes import Processes
from tests.service.client.networks import timm_network

SMALL = "test_vit"
ADD = ["axolotl", "okapi"]
NAMES = ["cat", "dog", "horse", *checkpoints.class_names(17)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "names.txt").write_text("\n".join(NAMES))
    return tmp_path


def inject(
    product: Processes, folder: Path, network: nn.Module, name: str
) -> subprocess.CompletedProcess[str]:
    save_file(network.state_dict(), folder / "net.safetensors")
    classes = ["--names", "names.txt", *(word for one in ADD for word in ("--add", one))]
    options = ["--network", name, "--method", "ridge", "--url", product.url]
    return command.headgraft(folder, "inject", "net.safetensors", *classes, *options)


def compare(product: Processes, folder: Path, name: str) -> None:
    """Inject on the command line and in Python, and hold the two reports against each other."""
    network = timm_network(name, len(NAMES))
    said = inject(product, folder, network, f"timm:{name}")
    assert said.returncode == 0, said.stderr
    [job] = re.findall(r"inj_\w+", said.stdout)
    heard: list[InjectionResource] = []
    with Headgraft(product.url) as client:
        client.inject(network, ADD, class_names=NAMES, method="ridge", on_progress=heard.append)
        worker, own = client.report(job), client.report(heard[-1].id)
    print(f"{name}: {worker.seconds} in the worker")
    assert worker.network
    assert heard[-1].features
    assert worker.network.pictures == heard[-1].features.count == CROPS
    assert figures(worker) == pytest.approx(figures(own), rel=0.01)


def figures(report: Report) -> list[float]:
    assert report.calibration
    assert report.estimate
    return [report.calibration.scale, report.estimate.u.value, report.estimate.s.value]


def test_a_worker_should_calibrate_as_python_does(product: Processes, folder: Path) -> None:
    compare(product, folder, SMALL)


@pytest.mark.soak
def test_a_larger_network_should_be_calibrated_alike_too(product: Processes, folder: Path) -> None:
    compare(product, folder, "resnet18")


def test_another_network_should_leave_the_result_and_be_one_more_line(
    product: Processes, folder: Path
) -> None:
    said = inject(product, folder, timm_network(SMALL, len(NAMES)), "timm:resnet18")

    assert said.returncode == 0, said.stderr
    said_once = (
        "note: no picture was run through timm:resnet18: the checkpoint has no tensor "
        "'conv1.weight', which 'resnet18' has"
    )
    assert said.stdout.splitlines().count(said_once) == 1


def test_a_file_of_the_head_alone_should_be_refused(product: Processes, folder: Path) -> None:
    said = inject(product, folder, nn.Linear(16, len(NAMES)), "timm:resnet18")

    assert said.returncode == 1
    assert "--network: the checkpoint holds the head's tensors alone" in said.stderr


@pytest.mark.parametrize("text", ["resnet18", "timm:", "torchvision:resnet18", ":resnet18"])
def test_what_is_no_network_should_be_answered_by_how_one_is_written(text: str) -> None:
    with pytest.raises(TypedError, match=f"'{text}' is no network; write timm:NAME"):
        parse_network(text)
