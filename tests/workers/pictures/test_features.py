"""Files of what a network sees in a folder: their content, and that they are whole or absent."""

import json
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from headgraft.models.errors import InjectionError
from headgraft.workers.evaluate.features import read
from headgraft.workers.pictures import features
from headgraft.workers.pictures.features import imagenet, write_features
from headgraft.workers.pictures.folder import open_picture
from tests import pictures
from tests.service.client.networks import timm_network


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pictures.write(tmp_path_factory.mktemp("pictures"), classes=3, each=3)


@pytest.fixture(scope="module")
def network() -> nn.Module:
    return timm_network("resnet18", 7)


def tensor_of(file: Path, name: str = "features") -> torch.Tensor:
    with safe_open(file, framework="pt") as opened:
        found: torch.Tensor = opened.get_tensor(name)
    return found


def test_pooled_features_should_be_written_with_their_labels_and_classes(
    folder: Path, network: nn.Module, tmp_path: Path
) -> None:
    written = write_features(network, folder, tmp_path / "f.safetensors", batch_size=4)

    assert (written.shape, written.class_names[0]) == ((9, 512), "class 0")
    labelled = read(tmp_path / "f.safetensors")
    assert labelled.labels_N.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert labelled.class_names == ("class 0", "class 1", "class 2")
    with torch.no_grad():
        picture = imagenet(open_picture(folder / "class 1" / "2.png"))[None]
        expected = network.forward_features(picture).mean(dim=(2, 3))[0]  # type: ignore[operator]
    torch.testing.assert_close(labelled.features_NF[5], expected, rtol=1e-4, atol=1e-5)


def test_regions_should_be_written_in_half_precision_unless_told(
    folder: Path, network: nn.Module, tmp_path: Path
) -> None:
    half, full = tmp_path / "half", tmp_path / "full"

    shape = write_features(network, folder, half, regions=True).shape
    write_features(network, folder, full, regions=True, dtype="float32")

    assert shape == (9, 512, 7, 7)
    assert tensor_of(half).dtype == torch.float16
    assert torch.equal(tensor_of(half), tensor_of(full).half())


def test_the_size_of_batches_should_make_no_difference(
    folder: Path, network: nn.Module, tmp_path: Path
) -> None:
    for size in (2, 9):
        write_features(network, folder, tmp_path / f"{size}", batch_size=size)

    torch.testing.assert_close(
        tensor_of(tmp_path / "2"), tensor_of(tmp_path / "9"), rtol=1e-4, atol=1e-5
    )


def test_labels_should_count_a_heads_classes(
    folder: Path, network: nn.Module, tmp_path: Path
) -> None:
    names = ["class 2", "nobody", "class 1", "class 0"]

    write_features(network, folder, tmp_path / "f", class_names=names)

    assert tensor_of(tmp_path / "f", "labels").tolist() == [3, 3, 3, 2, 2, 2, 0, 0, 0]
    with safe_open(tmp_path / "f", framework="pt") as file:
        assert json.loads(file.metadata()["class_names"]) == names


def test_without_class_folders_no_labels_should_be_written(
    folder: Path, network: nn.Module, tmp_path: Path
) -> None:
    target = tmp_path / "f"

    written = write_features(network, folder / "class 0", target, generic=True)

    assert (written.shape, written.class_names) == ((3, 512), ())
    with safe_open(target, framework="pt") as file:
        assert (list(file.keys()), file.metadata()) == (["features"], {"generic": "true"})
    with pytest.raises(InjectionError, match="a folder for each of 3 classes, so its pictures are"):
        write_features(network, folder, target, generic=True)
    assert write_features(network, folder, target, unlabelled=True).shape == (9, 512)


def test_a_picture_that_cannot_be_read_should_leave_nothing_half_written(
    network: nn.Module, tmp_path: Path
) -> None:
    folder = pictures.write(tmp_path / "in", classes=2, each=2)
    (folder / "class 1" / "1.png").write_bytes(b"broken")
    (tmp_path / "out").mkdir()

    with pytest.raises(InjectionError, match=r"class 1/1\.png is no readable picture"):
        write_features(network, folder, tmp_path / "out" / "f", batch_size=1)
    assert list((tmp_path / "out").iterdir()) == []


def test_features_too_large_for_their_dtype_should_be_refused(tmp_path: Path) -> None:
    folder = pictures.write(tmp_path / "in", classes=1, each=1)
    plain = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    loud = nn.Linear(3, 3)
    nn.init.constant_(loud.weight, 1e6)
    louder = nn.Sequential(plain, loud, nn.Linear(3, 2))

    write_features(plain, folder, tmp_path / "f", dtype="float16")
    with pytest.raises(InjectionError, match="too large for float16"):
        write_features(louder, folder, tmp_path / "g", dtype="float16")


@pytest.mark.parametrize("size", [(40, 300), (300, 40), (224, 224)])
def test_any_picture_should_become_what_imagenets_networks_read(size: tuple[int, int]) -> None:
    grey = imagenet(Image.new("RGB", size, (124, 116, 104)))

    assert grey.shape == (3, 224, 224)
    assert grey.abs().max() < 0.05  # the mean colour of ImageNet


def test_a_network_that_timm_does_not_have_should_be_answered_by_those_near() -> None:
    with pytest.raises(InjectionError, match=r"timm has no network 'resnet1'; it has .*resnet18"):
        features.timm_network("resnet1", None)


def test_weights_should_be_read_from_a_file_and_refused_from_another(
    folder: Path, network: nn.Module, tmp_path: Path
) -> None:
    torch.save({"state_dict": network.state_dict()}, tmp_path / "weights.pth")
    torch.save({"fc.weight": torch.zeros(2, 3)}, tmp_path / "wrong.pth")
    (tmp_path / "broken.safetensors").write_bytes(b"nothing")

    built, transform = features.timm_network("resnet18", tmp_path / "weights.pth")
    write_features(built, folder / "class 0", tmp_path / "f", transform=transform)
    write_features(network, folder / "class 0", tmp_path / "g", transform=transform)

    assert built.get_classifier().out_features == 7  # type: ignore[operator] # as in the file
    assert torch.equal(tensor_of(tmp_path / "f"), tensor_of(tmp_path / "g"))
    for name in ("wrong.pth", "broken.safetensors"):
        with pytest.raises(InjectionError, match="holds no weights of 'resnet18'"):
            features.timm_network("resnet18", tmp_path / name)
    with pytest.raises(InjectionError, match="there is no file of weights nowhere"):
        features.timm_network("resnet18", Path("nowhere"))


def test_weights_without_a_classifier_should_be_read_too(
    network: nn.Module, tmp_path: Path
) -> None:
    body = {k: v for k, v in network.state_dict().items() if not k.startswith("fc.")}
    save_file(body, tmp_path / "body.safetensors")

    built, _ = features.timm_network("resnet18", tmp_path / "body.safetensors")

    assert set(built.state_dict()) == set(body)
