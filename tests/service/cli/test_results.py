"""Results that the next tool opens: folders of transformers and timm, files of torch."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from tests import checkpoints, command
from tests.processes import Processes
from tests.service.client import networks

NAMES = [f"{kind} {thing}" for kind in ("red", "old", "wet", "big") for thing in
         ("fox", "cart", "stone", "boat", "lamp")]  # fmt: skip


def inject(product: Processes, folder: Path, *arguments: str) -> str:
    """Add the okapi by the command line; return what it prints."""
    given = ("--add", "okapi", "--method", "ridge", "--url", product.url)
    ran = command.headgraft(folder, "inject", *arguments, *given)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_a_folder_of_transformers_should_come_back_as_one(
    tmp_path: Path, product: Processes
) -> None:
    network = networks.hugging_face_network("vit", NAMES)
    network.save_pretrained(tmp_path / "vit")  # type: ignore[operator]  # transformers has no types
    (tmp_path / "vit" / "tf_model.h5").write_bytes(b"\x89HDF\r\n\x1a\n")

    said = inject(product, tmp_path, "vit", "--out", "grown")

    assert "note: not copied, as they hold the old network: tf_model.h5" in said
    from transformers import AutoModelForImageClassification

    grown = AutoModelForImageClassification.from_pretrained(tmp_path / "grown").eval()
    assert grown.config.id2label[20] == "okapi"
    assert grown.config.label2id["okapi"] == 20
    assert grown.num_labels == 21
    pictures = torch.rand(2, 3, 32, 32)
    with torch.inference_mode():
        old, new = network(pictures).logits, grown(pictures).logits
    assert torch.equal(new[:, :20], old)


def test_a_folder_of_timm_should_come_back_as_one(tmp_path: Path, product: Processes) -> None:
    network = networks.timm_network("mobilenetv3_small_050", 20)
    (tmp_path / "net").mkdir()
    save_file(network.state_dict(), tmp_path / "net" / "model.safetensors", {"format": "pt"})
    cfg = {"num_classes": 20, "classifier": "classifier", "label_names": NAMES}
    config = {"architecture": "mobilenetv3_small_050", "num_classes": 20, "pretrained_cfg": cfg}
    (tmp_path / "net" / "config.json").write_text(json.dumps(config))

    inject(product, tmp_path, "net")

    import timm

    grown = timm.create_model(f"local-dir:{tmp_path / 'net+1'}", pretrained=True).eval()
    told: Any = grown.pretrained_cfg
    assert told["label_names"] == [*NAMES, "okapi"]
    assert grown.num_classes == 21
    rows, old = grown.state_dict()["classifier.weight"], network.state_dict()["classifier.weight"]
    assert torch.equal(rows[:20], old)
    with safe_open(tmp_path / "net+1" / "model.safetensors", "pt") as file:
        assert file.metadata()["format"] == "pt"


@pytest.mark.parametrize("suffix", [".pth", ".ckpt", ".pth.tar"])
def test_a_torch_file_should_come_back_as_one_with_its_names(
    tmp_path: Path, product: Processes, suffix: str
) -> None:
    state = checkpoints.tensors()
    rows = {name: row for row, name in enumerate(NAMES)}
    torch.save({"epoch": 3, "state_dict": state, "class_to_idx": rows}, tmp_path / f"net{suffix}")

    said = inject(product, tmp_path, f"net{suffix}")

    assert f"net+1{suffix}: 20 classes and 1 new ones" in said
    assert "extended: fc.weight, fc.bias" in said
    grown = torch.load(tmp_path / f"net+1{suffix}", weights_only=True)
    assert grown["epoch"] == 3
    assert grown["class_to_idx"] == {**rows, "okapi": 20}
    assert list(grown["state_dict"]) == list(state)
    assert torch.equal(grown["state_dict"]["fc.weight"][:20], state["fc.weight"])
    assert grown["state_dict"]["fc.bias"].shape == (21,)


def test_warnings_should_be_printed_and_names_shown(tmp_path: Path, product: Processes) -> None:
    checkpoints.write(tmp_path / "net.safetensors")
    (tmp_path / "names.csv").write_text(
        "id,name\n" + "".join(f"{n},LABEL_{n}\n" for n in range(20))
    )
    given = ("--names", "names.csv", "--add", "okapi", "--method", "ridge", "--url", product.url)
    ran = command.headgraft(tmp_path, "inject", "net.safetensors", *given)
    assert ran.returncode == 0, ran.stderr
    assert "20 names: LABEL_0 ... LABEL_19, from column name" in ran.stderr
    assert "warning: 20 of the 21 class names say nothing, such as 'LABEL_0'" in ran.stdout
    assert "are the names in the order of the rows?" in ran.stdout


def test_what_is_no_checkpoint_should_be_named_before_it_is_sent(tmp_path: Path) -> None:
    for name, start, word in (("m.onnx", b"\x08\x08\x12\x07pytorch", "an ONNX model"),
                              ("m.pth", b"<html>", "an HTML page"),
                              ("m.bin", b"", "is empty")):  # fmt: skip
        (tmp_path / name).write_bytes(start + bytes(50 * bool(start)))
        ran = command.headgraft(tmp_path, "inject", name, "--add", "okapi")
        assert ran.returncode == 1
        assert word in ran.stderr
