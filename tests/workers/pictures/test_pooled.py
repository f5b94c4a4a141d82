"""What a classifier reads of pictures, of every kind that pictures come in."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL.Image import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from headgraft.models.errors import InjectionError
from headgraft.workers.pictures import generic, pooled
from headgraft.workers.pictures.folder import open_picture
from tests import pictures

COUNT, FEATURES = 6, 5


class Network(nn.Module):
    """A network whose layers do another thing in training; one of them is frozen."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, FEATURES, 3)
        self.norm = nn.BatchNorm2d(FEATURES)
        self.frozen = nn.BatchNorm1d(FEATURES).eval()
        self.drop = nn.Dropout()
        self.fc = nn.Linear(FEATURES, 4)

    def below(self, batch: Tensor) -> Tensor:
        features: Tensor = self.frozen(self.norm(self.conv(batch)).mean(dim=(2, 3)))
        return self.drop(features)  # type: ignore[no-any-return]

    def forward(self, batch: Tensor) -> Tensor:
        return self.fc(self.below(batch))  # type: ignore[no-any-return]


def small(picture: Image) -> Tensor:
    """Make of a picture what the network reads."""
    pixels_HW3 = torch.from_numpy(np.array(picture.resize((8, 8)), np.float32))
    return pixels_HW3.permute(2, 0, 1) / 255


def expected(shown: Iterable[Tensor]) -> Tensor:
    with torch.no_grad():
        return Network().eval().below(torch.stack(list(shown)))


def ignore(_done: int, _count: int | None) -> None:
    """Hear nothing."""


@pytest.fixture
def few_crops(monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(generic, "CROPS", 2 * len(generic.PICTURES))
    return generic.CROPS


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pictures.write(tmp_path_factory.mktemp("pictures"), classes=2, each=COUNT // 2)


def test_generic_pictures_should_leave_features_and_the_network_as_it_was(few_crops: int) -> None:
    network, heard = Network().train(), []
    network.frozen.eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}

    features_ND = pooled.generic_features(
        network, network.fc, small, lambda done, count: heard.append((done, count))
    )

    torch.testing.assert_close(features_ND, expected(map(small, generic.generic_crops(few_crops))))
    assert heard == [(done, few_crops) for done in (0, 16, 32, few_crops)]
    assert [network.training, network.norm.training, network.frozen.training] == [True, True, False]
    assert all(value.equal(before[name]) for name, value in network.state_dict().items())
    assert not any(one._forward_hooks or one._forward_pre_hooks for one in network.modules())
    assert all(parameter.grad is None for parameter in network.parameters())


def test_a_large_network_should_see_the_first_crops_alone(
    few_crops: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # One picture takes 2 * 5 * 27 * 36 operations in the convolution, 2 * 5 * 4 in the classifier.
    monkeypatch.setattr(generic, "OPERATIONS_MAX", 7 * 9760)
    monkeypatch.setattr(generic, "CROPS_MIN", 3)
    network = Network()

    features_ND = pooled.generic_features(network, network.fc, small, ignore)

    torch.testing.assert_close(features_ND, expected(map(small, generic.generic_crops(7))))


def test_a_parameter_may_be_what_a_module_reads(few_crops: int) -> None:
    class Attending(Network):
        def __init__(self) -> None:
            super().__init__()
            self.query = nn.Parameter(torch.zeros(1, FEATURES))
            self.project = nn.Linear(FEATURES, FEATURES)

        def below(self, batch: Tensor) -> Tensor:
            return super().below(batch) + self.project(self.query)  # type: ignore[no-any-return]

    network = Attending()
    features_ND = pooled.generic_features(network, network.fc, small, ignore)

    assert features_ND.shape == (few_crops, FEATURES)


def test_a_networks_own_type_should_be_kept(few_crops: int) -> None:
    network = Network().to(torch.bfloat16)

    features_ND = pooled.generic_features(network, network.fc, small, ignore)

    assert features_ND.dtype == torch.float32
    wanted_ND = expected(map(small, generic.generic_crops(few_crops)))
    torch.testing.assert_close(features_ND, wanted_ND, rtol=0.05, atol=0.05)
    assert network.fc.weight.dtype == torch.bfloat16


@pytest.mark.parametrize(
    "kind", ["folder", "text", "paths", "pictures", "tensors", "batches", "labelled batches"]
)
def test_a_users_pictures_should_be_taken_in_whatever_form(folder: Path, kind: str) -> None:
    paths = sorted(folder.rglob("*.png"))
    tensors = [small(open_picture(path)) for path in paths]
    stacked, labels = torch.stack(tensors), torch.zeros(COUNT)
    forms: dict[str, Any] = {
        "folder": folder,
        "text": str(folder),
        "paths": paths,
        "pictures": (open_picture(path) for path in paths),
        "tensors": tensors,
        "batches": [stacked[:4], stacked[4:]],
        "labelled batches": DataLoader(TensorDataset(stacked, labels), batch_size=4),
    }
    network = Network()

    features_ND = pooled.given_features(network, network.fc, forms[kind], small, ignore)

    torch.testing.assert_close(features_ND, expected(tensors))


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ([], "there is no picture"),
        ([3], "cannot be a int: legal are PIL pictures"),
        ([torch.zeros(8, 8)], r"cannot be a tensor of shape \(8, 8\)"),
        ([torch.zeros(3, 8, 8), torch.zeros(3, 9, 8)], "differ in shape"),
        ([torch.full((3, 8, 8), torch.nan)], "makes NaN or infinity of a picture"),
        ("/nowhere/at/all", "/nowhere/at/all has no picture; legal are .jpg"),
    ],
)
def test_what_is_no_picture_should_be_named(given: Any, says: str) -> None:
    network = Network()
    with pytest.raises(InjectionError, match=says):
        pooled.given_features(network, network.fc, given, small, ignore)


def test_a_picture_should_need_a_preprocessing_and_a_tensor_none(folder: Path) -> None:
    network = Network()
    pooled.given_features(network, network.fc, [torch.zeros(3, 8, 8)], None, ignore)
    with pytest.raises(InjectionError, match=r"Network does not say how .* give preprocess="):
        pooled.given_features(network, network.fc, folder, None, ignore)


def test_a_classifier_that_the_network_does_not_run_should_be_refused(few_crops: int) -> None:
    with pytest.raises(InjectionError, match="its classifier does not run, or not once"):
        pooled.generic_features(Network(), nn.Linear(FEATURES, 4), small, ignore)
