"""Heads stored otherwise than as one matrix of rows, read and grown in the coat they came in."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from headgraft.models.errors import InjectionError
from headgraft.models.heads import checkpoint
from headgraft.models.heads.head import Head
from headgraft.models.heads.stored import StoredLayer

C, D, U = 5, 3, 2
NAMES = [str(number) for number in range(C + U)]
WEIGHT = torch.randn(C, D, generator=torch.Generator().manual_seed(1))
BIAS = torch.arange(C).float()
NEW = torch.randn(U, 2 * D, generator=torch.Generator().manual_seed(2))
COATS: dict[str, tuple[dict[str, Tensor], list[StoredLayer]]] = {
    "convolution": (
        {"w": WEIGHT[:, :, None, None], "b": BIAS},
        [StoredLayer("w", "b", D)],
    ),
    "transposed": ({"w": WEIGHT.T.contiguous(), "b": BIAS}, [StoredLayer("w", "b", D, 1)]),
    "transposed convolution": (
        {"w": WEIGHT.T.contiguous()[None, None]},
        [StoredLayer("w", None, D, 3)],
    ),
    "weight norm": (
        {"v": WEIGHT * 2, "g": WEIGHT.norm(dim=1, keepdim=True), "b": BIAS},
        [StoredLayer("v", "b", D, lengths="g")],
    ),
    "two heads": (
        {"w": WEIGHT, "b": BIAS, "w2": WEIGHT + 1, "b2": BIAS + 1},
        [StoredLayer("w", "b", D), StoredLayer("w2", "b2", D)],
    ),
    "an averaged copy": (
        {"w": WEIGHT, "b": BIAS, "ema.w": WEIGHT + 1, "ema.b": BIAS + 1},
        [StoredLayer("w", "b", D), StoredLayer("ema.w", "ema.b", D, is_copy=True)],
    ),
}


def read(path: Path, layers: list[StoredLayer], count: int) -> Head:
    return checkpoint.read_head(path, layers=layers, class_names=NAMES[:count])


@pytest.mark.parametrize("coat", COATS)
def test_a_head_should_grow_in_its_coat_and_keep_its_old_numbers(tmp_path: Path, coat: str) -> None:
    stored, layers = COATS[coat]
    save_file(stored, tmp_path / "in")
    head = read(tmp_path / "in", layers, C)
    new = Head(NEW[:, : head.feature_size], None if head.bias is None else NEW[:, 0], ("a", "b"))

    checkpoint.write_extended(
        tmp_path / "in", tmp_path / "out", layers=layers, unseen=new, class_names=NAMES
    )

    grown = read(tmp_path / "out", layers, C + U)
    assert torch.equal(grown.weight[:C], head.weight)
    torch.testing.assert_close(grown.weight[C:], new.weight)
    if grown.bias is not None and new.bias is not None:
        torch.testing.assert_close(grown.bias[C:], new.bias)
    for name, tensor in load_file(tmp_path / "out").items():
        axis = next(axis for axis, size in enumerate(tensor.shape) if size == C + U)
        assert torch.equal(tensor.narrow(axis, 0, C), stored[name]), name
        assert tensor.dim() == stored[name].dim()


def test_two_heads_should_be_read_as_their_average(tmp_path: Path) -> None:
    stored, layers = COATS["two heads"]
    save_file(stored, tmp_path / "in")
    features_ND = torch.randn(4, 2 * D, generator=torch.Generator().manual_seed(3))

    logits_NC = read(tmp_path / "in", layers, C).logits(features_ND)

    first_NC = features_ND[:, :D] @ stored["w"].T + stored["b"]
    second_NC = features_ND[:, D:] @ stored["w2"].T + stored["b2"]
    torch.testing.assert_close(logits_NC, (first_NC + second_NC) / 2)


def test_a_copy_should_get_the_rows_of_the_layer_it_repeats(tmp_path: Path) -> None:
    stored, layers = COATS["an averaged copy"]
    save_file(stored, tmp_path / "in")
    new = Head(NEW[:, :D], NEW[:, 0], ("a", "b"))
    checkpoint.write_extended(
        tmp_path / "in", tmp_path / "out", layers=layers, unseen=new, class_names=NAMES
    )
    written = load_file(tmp_path / "out")
    assert torch.equal(written["ema.w"][C:], new.weight)


def test_a_head_of_zeros_should_be_refused(tmp_path: Path) -> None:
    save_file({"w": torch.zeros(C, D), "b": BIAS}, tmp_path / "in")
    with pytest.raises(InjectionError, match="every number of 'w' is 0: it was never trained"):
        read(tmp_path / "in", [StoredLayer("w", "b", D)], C)
