"""Networks of timm from the tensors of a file."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from headgraft.models.errors import InjectionError
from headgraft.workers.pictures import timm_networks
from tests.service.client.networks import timm_network

SMALL = "test_resnet"
CLASSES = 20
State = dict[str, Tensor]


@pytest.fixture(scope="module")
def network() -> nn.Module:
    return timm_network(SMALL, CLASSES)


def test_a_network_that_timm_does_not_have_should_be_answered_by_those_near() -> None:
    with pytest.raises(InjectionError, match=r"timm has no network 'resnet1'; it has .*resnet18"):
        timm_networks.timm_network("resnet1", None)


def test_weights_should_be_read_from_a_file_and_refused_from_another(
    network: nn.Module, tmp_path: Path
) -> None:
    torch.save({"state_dict": network.state_dict()}, tmp_path / "weights.pth")
    torch.save({"fc.weight": torch.zeros(2, 3)}, tmp_path / "wrong.pth")
    (tmp_path / "broken.safetensors").write_bytes(b"nothing")

    built, transform = timm_networks.timm_network(SMALL, tmp_path / "weights.pth")

    assert same(built, network)  # with as many classes as in the file
    assert callable(transform)
    for name in ("wrong.pth", "broken.safetensors"):
        with pytest.raises(InjectionError, match=f"holds no weights of '{SMALL}'"):
            timm_networks.timm_network(SMALL, tmp_path / name)
    with pytest.raises(InjectionError, match="there is no file of weights nowhere"):
        timm_networks.timm_network(SMALL, Path("nowhere"))


def test_weights_without_a_classifier_should_be_read_too(
    network: nn.Module, tmp_path: Path
) -> None:
    body = {k: v for k, v in network.state_dict().items() if not k.startswith("fc.")}
    save_file(body, tmp_path / "body.safetensors")

    built, _ = timm_networks.timm_network(SMALL, tmp_path / "body.safetensors")

    assert set(built.state_dict()) == set(body)


def same(one: nn.Module, other: nn.Module) -> bool:
    held, wanted = one.state_dict(), other.state_dict()
    return list(held) == list(wanted) and all(held[key].equal(wanted[key]) for key in wanted)


def test_a_checkpoint_should_become_the_network_that_it_was(
    network: nn.Module, tmp_path: Path
) -> None:
    save_file(network.state_dict(), tmp_path / "net.safetensors")

    built = timm_networks.network_of_checkpoint(SMALL, tmp_path / "net.safetensors", CLASSES)

    assert same(built, network)
    assert timm_networks.classifiers(built) == {built.get_submodule("fc")}


def test_a_classifier_of_several_layers_should_be_found_whole() -> None:
    with torch.device("meta"):
        network = timm_network("levit_128s", CLASSES)
    found = timm_networks.classifiers(network)
    assert {network.get_submodule(f"{one}.linear") for one in ("head", "head_dist")} <= found
    assert network.get_submodule("stages") not in found


def without_one(state: State) -> None:
    del state["layer1.0.conv1.weight"]


def with_another(state: State) -> None:
    state["head.weight"] = torch.zeros(2)


def of_other_shape(state: State) -> None:
    state["layer1.0.conv1.weight"] = torch.zeros(2, 2, 3, 3)


@pytest.mark.parametrize(
    ("change", "name", "says"),
    [
        (without_one, SMALL, "no tensor 'layer1.0.conv1.weight', which 'test_resnet' has"),
        (with_another, SMALL, "'test_resnet' has no tensor 'head.weight', which the checkpoint"),
        (of_other_shape, SMALL, r"'layer1.0.conv1.weight' has shape \(2, 2, 3, 3\) in the"),
        (dict, "resnet18", "no tensor 'conv1.weight', which 'resnet18' has"),
        (dict, "test_resnett", "timm has no network 'test_resnett'; it has test_resnet,"),
        (dict, "test_resnet.r161_in1k", "has no network .*; it has test_resnet.r160_in1k"),
    ],
)
def test_a_checkpoint_of_another_network_should_be_refused_by_name(
    network: nn.Module,
    tmp_path: Path,
    change: Callable[[State], object],
    name: str,
    says: str,
) -> None:
    state = dict(network.state_dict())
    change(state)
    save_file(state, tmp_path / "net.safetensors")

    with pytest.raises(InjectionError, match=says):
        timm_networks.network_of_checkpoint(name, tmp_path / "net.safetensors", CLASSES)
