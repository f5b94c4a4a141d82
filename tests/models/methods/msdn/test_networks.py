"""The two attention nets at the start of their training."""

import pytest
import torch

from headgraft.models.methods.msdn.networks import AttentionNets


def test_only_the_first_nets_score_map_should_start_other_than_zero() -> None:
    generator = torch.Generator().manual_seed(0)
    made = AttentionNets(3 * torch.ones(50, 40), 60, generator)

    assert made.region_scores_VD.std().item() == pytest.approx(1, abs=0.05)
    for map_VD in (
        made.region_attention_VD, made.attribute_scores_VD, made.attribute_attention_VD,
    ):  # fmt: skip
        assert not map_VD.any()
    torch.testing.assert_close(made.vectors_AV.norm(dim=1), torch.ones(50))
