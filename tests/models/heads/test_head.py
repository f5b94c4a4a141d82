"""Head: a classifier's last layer."""

import pytest
import torch
from torch.nn.functional import normalize

from headgraft.models.errors import InjectionError
from headgraft.models.heads.head import Head
from tests.models.builders import make_head


def test_linear_logits_should_be_the_affine_map() -> None:
    head = Head(torch.tensor([[1.0, 2.0], [0.0, -1.0]]), torch.tensor([0.5, 0.0]), ("a", "b"))

    assert head.logits(torch.tensor([[3.0, 4.0]])).tolist() == [[11.5, -4.0]]


def test_cosine_logits_should_ignore_lengths_and_use_the_scale() -> None:
    head = make_head(bias=False, metric="cosine")
    x_ND = torch.randn(3, 6, generator=torch.Generator().manual_seed(5))

    logits_NC = head.logits(x_ND * 9)

    torch.testing.assert_close(logits_NC, 10 * normalize(x_ND) @ normalize(head.weight).T)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_logits_should_be_computed_in_float32_or_wider(dtype: torch.dtype) -> None:
    logits_NC = make_head(dtype=dtype).logits(torch.ones(2, 6))

    assert logits_NC.dtype == torch.promote_types(dtype, torch.float32)


def test_rows_should_hold_the_bias_as_last_column() -> None:
    head = make_head()

    assert head.rows.shape == (12, 7)
    assert head.bias is not None
    assert torch.equal(head.rows[:, -1], head.bias)
    assert make_head(bias=False).rows.shape == (12, 6)


def test_with_rows_should_undo_rows() -> None:
    head = make_head()

    again = head.with_rows(head.rows, head.class_names)

    assert torch.equal(again.rows, head.rows)


@pytest.mark.parametrize(
    ("weight", "bias", "names", "message", "pointer"),
    [
        (torch.ones(3), None, ("a",), r"shape \(3,\)", "/head/weight"),
        (torch.ones(0, 3), None, (), r"shape \(0, 3\)", "/head/weight"),
        (torch.ones(2, 2, dtype=torch.int64), None, ("a", "b"), "int64", "/head/weight"),
        (torch.ones(2, 2), torch.ones(3), ("a", "b"), r"must be \(2,\)", "/head/bias"),
        (torch.ones(2, 2), None, ("a",), "1 class names for a head of 2", "/class_names"),
        (torch.tensor([[1.0], [torch.nan]]), None, ("a", "b"), "class 'b'", "/head/weight"),
        (torch.ones(2, 1), torch.tensor([torch.inf, 0]), ("a", "b"), "class 'a'", "/head/bias"),
    ],
)
def test_a_malformed_head_should_be_refused_with_the_reason(
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    names: tuple[str, ...],
    message: str,
    pointer: str,
) -> None:
    with pytest.raises(InjectionError, match=message) as caught:
        Head(weight, bias, names)

    assert (caught.value.code, caught.value.pointer) == ("invalid_head", pointer)


def test_an_unknown_metric_should_be_refused_with_the_legal_ones() -> None:
    with pytest.raises(InjectionError, match="linear, cosine"):
        Head(torch.ones(1, 1), None, ("a",), "dot")  # type: ignore[arg-type] # the point
