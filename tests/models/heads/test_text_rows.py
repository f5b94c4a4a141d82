"""Text as rows: where they point, how long they are, and their bias."""

import torch
from torch.nn.functional import cosine_similarity

from headgraft.models.heads.rows import text_rows
from tests.models.builders import make_head


def test_rows_should_point_along_the_text_at_the_seen_mean_length_with_the_mean_bias() -> None:
    head, text_UD = make_head(), torch.randn(3, 6, generator=torch.Generator())
    assert head.bias is not None

    rows_UK = text_rows(text_UD, head).float()

    torch.testing.assert_close(cosine_similarity(rows_UK[:, :6], text_UD), torch.ones(3))
    norm = head.weight.norm(dim=1).mean()
    torch.testing.assert_close(rows_UK[:, :6].norm(dim=1), norm.expand(3))
    torch.testing.assert_close(rows_UK[:, 6], head.bias.mean().expand(3))


def test_a_head_without_a_bias_should_get_none() -> None:
    rows_UK = text_rows(torch.ones(2, 6), make_head(bias=False))

    assert rows_UK.shape == (2, 6)
