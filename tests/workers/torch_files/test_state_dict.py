"""Which tensors of a torch checkpoint are the network's, and what makes that unclear."""

import pytest
import torch

from headgraft.models.errors import InjectionError
from headgraft.workers.torch_files.state_dict import CUSTOMARY, pick
from headgraft.workers.torch_files.unpickler import Opaque

FC = {"fc.weight": torch.ones(3, 4), "fc.bias": torch.ones(3)}


@pytest.mark.parametrize("key", CUSTOMARY)
def test_a_nested_state_dict_should_be_found_under_each_customary_key(key: str) -> None:
    found = pick({"epoch": 3, key: FC, "optimizer": {"state": {0: {"m": torch.ones(2, 2)}}}})
    assert found.key == key
    assert found.tensors == FC
    assert found.dropped == ("epoch", "optimizer")


def test_a_flat_state_dict_should_lose_its_bookkeeping_only() -> None:
    found = pick({**FC, "epoch": 3, "arch": "resnet", "none": None, "fc._extra_state": [1]})
    assert found.key is None
    assert list(found.tensors) == ["fc.weight", "fc.bias"]
    assert found.dropped == ("epoch", "arch", "none", "fc._extra_state")


def test_what_is_not_read_should_be_left_out_and_named() -> None:
    found = pick(
        {**FC, "args": Opaque("argparse.Namespace"), "layers": [1, 2], "config": {"lr": 1}}
    )
    assert found.tensors == FC
    assert found.dropped == ("args", "layers", "config")


@pytest.mark.parametrize("averaged", ["state_dict_ema", "model_ema"])
def test_averaged_weights_should_be_taken_where_timm_looks_for_them(averaged: str) -> None:
    beside = {"state_dict": {"fc.weight": torch.zeros(3, 4)}, averaged: FC}
    assert (pick(beside).key, pick(beside).dropped) == (averaged, ("state_dict",))
    assert pick(beside, "state_dict").key == "state_dict"


def test_the_only_state_dict_should_be_found_under_any_key() -> None:
    assert pick({"linear_classifiers": FC, "iteration": 5}).key == "linear_classifiers"
    with pytest.raises(InjectionError, match="under 'one', 'other': choose one as key"):
        pick({"one": FC, "other": FC})


def test_a_key_should_choose_and_a_wrong_one_be_told_the_right_ones() -> None:
    assert pick({"mine": FC, "epoch": 1}, "mine").tensors == FC
    with pytest.raises(InjectionError, match=r"no state dict under 'yours'.*under 'mine'"):
        pick({"mine": FC, "epoch": 1}, "yours")


def test_a_number_kept_beside_the_state_dict_should_not_make_it_unclear() -> None:
    assert pick({"best_acc1": torch.tensor(76.1), "model": FC}).key == "model"


@pytest.mark.parametrize(
    ("loaded", "complaint"),
    [
        ({"model": FC, "net": FC}, r"under 'model', 'net'.*choose one as key"),
        ({"state_dict": FC, "head.weight": torch.ones(2, 2)}, r"'state_dict' beside 'head.weight'"),
        ({"mine": [FC], "epoch": 1}, r"its keys are 'mine', 'epoch'.*model.state_dict\(\)"),
        ({}, "its keys are none"),
        ([FC], "holds a 'list', not a state dict"),
        (torch.ones(2), "holds a 'Tensor'"),
        ({**FC, "more": FC}, "entry 'more' of the state dict holds tensors"),
        ({**FC, "w": Opaque("torch._utils._rebuild_qtensor")}, "'w' is sparse, quantized"),
        ({"model": Opaque("my.Net"), "epoch": 1}, r"'model' is a 'my.Net'.*model.state_dict\(\)"),
        ({"model": dict([*FC.items(), (7, FC)])}, "the key '<int>'"),
        ({**FC, "\ud800": torch.ones(1)}, r"the key '\\ud800'; keys must be Unicode"),
        ({"w": torch.ones(2, 2).to_sparse()}, "'w' is sparse"),
        ({"w": torch.ones(2, 2, device="meta")}, "'w' holds no numbers: it is on 'meta'"),
    ],
)
def test_anything_unclear_should_be_refused_with_what_is_there(
    loaded: object, complaint: str
) -> None:
    with pytest.raises(InjectionError, match=complaint) as caught:
        pick(loaded)
    assert caught.value.code == "invalid_checkpoint"


def test_a_quantized_tensor_should_be_refused() -> None:
    quantized = torch.ops.aten.quantize_per_tensor(torch.ones(2, 2), 0.1, 0, torch.qint8)
    with pytest.raises(InjectionError, match="'w' is quantized"):
        pick({"w": quantized})
