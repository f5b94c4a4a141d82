"""From a folder of pictures to a head: `headgraft features`, the API, a real worker."""

import subprocess
from pathlib import Path

import httpx
import pytest
import torch

from headgraft import Headgraft
from tests import checkpoints, command, pictures, region_features
from tests.fundamentals import client
from tests.processes import Processes
from tests.service.client.networks import timm_network

CLASSES, EACH = 10, 2


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pictures.write(tmp_path_factory.mktemp("pictures") / "in", CLASSES, EACH)


def look(
    folder: Path, target: Path, *arguments: str, model: str = "resnet18"
) -> subprocess.CompletedProcess[str]:
    fixed = ["--model", model, "--out", str(target)]
    return command.headgraft(Path.cwd(), "features", str(folder), *fixed, *arguments)


def test_regions_of_pictures_should_make_a_head_that_looks_at_them(
    product: Processes, folder: Path, tmp_path: Path
) -> None:
    file = tmp_path / "regions.safetensors"
    names = tmp_path / "names.txt"
    names.write_text("\n".join(checkpoints.class_names(CLASSES)))

    said = look(folder, file, "--regions", "--names", str(names))

    assert said.returncode == 0, said.stderr
    assert "features 20 x 512 x 7 x 7 of 10 classes" in said.stdout
    with Headgraft(product.url) as ours:
        features = ours.upload_features(file)
    assert (features.count, features.region_shape) == (CLASSES * EACH, [7, 7])
    source = checkpoints.write(tmp_path / "head", checkpoints.tensors(CLASSES, 512))
    request = region_features.request(
        class_names=checkpoints.class_names(CLASSES),
        class_embeddings=region_features.attributes(CLASSES),
        features_id=features.id,
    )
    done = client.wait(product.url, client.post(product.url, source, request)["id"])
    assert done["status"] == "succeeded", done
    report = httpx.get(f"{product.url}/v1/injections/{done['id']}/report").json()
    assert report["attribute"]["grid"] == [7, 7]


def test_pooled_features_should_calibrate_rows(
    product: Processes, folder: Path, tmp_path: Path
) -> None:
    file = tmp_path / "pooled.safetensors"

    said = look(folder, file, "--batch-size", "16")

    assert said.returncode == 0, said.stderr
    assert "features 20 x 512 of 10 classes" in said.stdout
    with Headgraft(product.url) as ours:
        features = ours.upload_features(file)
    source = checkpoints.write(tmp_path / "head", checkpoints.tensors(CLASSES, 512))
    request = checkpoints.request(CLASSES, features_id=features.id)
    done = client.wait(product.url, client.post(product.url, source, request)["id"])
    assert done["status"] == "succeeded", done
    assert done["features"]["count"] == CLASSES * EACH


def test_without_class_folders_it_should_say_that_there_are_no_labels(
    folder: Path, tmp_path: Path
) -> None:
    weights, flat = tmp_path / "net.pth", folder / "class 0"
    torch.save(timm_network("test_resnet", CLASSES).state_dict(), weights)

    names = tmp_path / "names.txt"
    names.write_text("red fox\nkit fox")
    arguments = ["--weights", str(weights), "--generic", "--names", str(names)]
    said = look(flat, tmp_path / "f", *arguments, model="test_resnet")

    assert said.returncode == 0, said.stderr
    assert f"features 2 x 96 without labels, {flat} has no class folders" in said.stdout
    assert f"{names} was not needed: labels alone count classes" in said.stdout


@pytest.mark.parametrize(
    ("features", "network", "complaint"),
    [
        ("pictures", [], "folder of pictures: name the network whose weights net.pt holds"),
        ("pictures", ["--network", "resnet18"], "'resnet18' is no network; write timm:NAME"),
        ("pictures", ["--network", "timm:resnet18"], "list them with --names"),
        ("net.pt", ["--network", "timm:resnet18"], "--network goes with a folder of pictures"),
        ("nowhere", [], "no file of features nowhere, nor a folder of pictures"),
    ],
)
def test_a_folder_to_calibrate_by_should_be_refused_unless_it_can_be_read(
    tmp_path: Path, features: str, network: list[str], complaint: str
) -> None:
    (tmp_path / "net.pt").write_bytes(b"any")
    pictures.write(tmp_path / "pictures", classes=1, each=1)

    arguments = ["net.pt", "--add", "okapi", "--features", features, *network]
    said = command.headgraft(tmp_path, "inject", *arguments)

    assert said.returncode == 1
    assert complaint in said.stderr


def test_a_class_that_the_head_lacks_should_be_one_line(folder: Path, tmp_path: Path) -> None:
    names = tmp_path / "names.txt"
    names.write_text("class 0\nclass 1")

    said = look(folder, tmp_path / "f", "--names", str(names))

    assert said.returncode == 1
    assert said.stderr.startswith("headgraft: ")
    assert "the head has no class 'class 2'" in said.stderr
    assert not (tmp_path / "f").exists()
