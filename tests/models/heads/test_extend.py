"""inject: unseen rows behind the seen ones."""

import pytest
import torch

from headgraft.models.errors import InjectionError
from headgraft.models.heads.extend import inject, split
from headgraft.models.heads.head import Head
from tests.models.builders import make_head

DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]


def unseen(*, bias: bool = True, features: int = 6, factor: float = 1.0) -> Head:
    head = make_head(3, features, bias=bias, seed=9)
    return Head(head.weight * factor, head.bias, ("x", "y", "z"))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("bias", [True, False])
def test_seen_rows_should_keep_their_bytes(dtype: torch.dtype, *, bias: bool) -> None:
    seen = make_head(bias=bias, dtype=dtype)

    extended = inject(seen, unseen(bias=bias))

    assert extended.weight.dtype == dtype
    assert extended.rows[:12].contiguous().view(torch.uint8).equal(seen.rows.view(torch.uint8))
    assert extended.class_names == (*seen.class_names, "x", "y", "z")


def test_old_logits_should_not_change() -> None:
    seen, x_ND = make_head(), torch.ones(2, 6)

    extended = inject(seen, unseen())

    torch.testing.assert_close(extended.logits(x_ND)[:, :12], seen.logits(x_ND))


def test_metric_and_scale_should_be_kept() -> None:
    extended = inject(make_head(bias=False, metric="cosine"), unseen(bias=False))

    assert (extended.metric, extended.scale) == ("cosine", 10.0)


def test_a_row_that_overflows_should_be_refused_with_its_class() -> None:
    rows = unseen(factor=1e6)

    with pytest.raises(InjectionError, match=r"class 'x' reaches .* 65504") as caught:
        inject(make_head(dtype=torch.float16), rows)

    assert caught.value.code == "row_overflow"


@pytest.mark.parametrize("rows", [unseen(bias=False), unseen(features=7)])
def test_rows_of_another_kind_should_be_refused(rows: Head) -> None:
    with pytest.raises(InjectionError, match="cannot extend"):
        inject(make_head(), rows)


def test_unseen_rows_alone_should_leave_the_seen_head_as_it_is() -> None:
    seen, made = make_head(), unseen()

    old, new = split(seen, made)

    assert old is seen
    assert new is made


@pytest.mark.parametrize("bias", [True, False])
def test_rows_of_all_classes_should_be_parted_into_replaced_and_new_ones(*, bias: bool) -> None:
    seen = make_head(bias=bias, dtype=torch.float16)
    made = make_head(15, bias=bias, seed=5)
    made = Head(made.weight, made.bias, (*seen.class_names, "x", "y", "z"))

    old, new = split(seen, made)

    assert old.class_names == seen.class_names
    assert old.weight.dtype == torch.float16
    assert torch.equal(old.rows, made.rows[:12].half())
    assert new.class_names == ("x", "y", "z")
    assert torch.equal(new.rows, made.rows[12:])
