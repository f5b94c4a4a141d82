"""Attention between attributes and regions, against the paper's sums written out."""

import pytest
import torch
from torch.nn.functional import normalize

from headgraft.models.heads.attribute_attention import attribute_scores, region_attention
from headgraft.models.methods.msdn.networks import AttentionNets


@pytest.fixture
def nets() -> AttentionNets:
    """Return nets of 5 attributes and features of 6 whose maps are all random."""
    generator = torch.Generator().manual_seed(0)
    made = AttentionNets(torch.randn(5, 3, generator=generator), 6, generator)
    with torch.no_grad():
        for map_VD in (
            made.region_attention_VD, made.attribute_scores_VD, made.attribute_attention_VD,
        ):  # fmt: skip
            map_VD.copy_(torch.randn(3, 6, generator=generator))
    return made


def some_features() -> torch.Tensor:
    return torch.randn(4, 6, 7, generator=torch.Generator().manual_seed(1))


def test_an_attribute_should_attend_to_regions(nets: AttentionNets) -> None:
    features_NDR = normalize(some_features(), dim=1)
    meet = "iv,vd,bdr->bir"
    attention_NAR = torch.einsum(
        meet, nets.vectors_AV, nets.region_attention_VD, features_NDR
    ).softmax(dim=2)
    score_NAR = torch.einsum(meet, nets.vectors_AV, nets.region_scores_VD, features_NDR)

    found_NA, _ = attribute_scores(some_features(), nets.maps().stacked())

    torch.testing.assert_close(found_NA, (attention_NAR * score_NAR).sum(dim=2))
    torch.testing.assert_close(region_attention(some_features(), nets.maps(), 1.0), attention_NAR)


def test_a_region_should_attend_to_attributes(nets: AttentionNets) -> None:
    features_NDR = normalize(some_features(), dim=1)
    meet = "iv,vd,bdr->bir"
    attention_NAR = torch.einsum(
        meet, nets.vectors_AV, nets.attribute_attention_VD, features_NDR
    ).softmax(dim=1)
    score_NAR = torch.einsum(meet, nets.vectors_AV, nets.attribute_scores_VD, features_NDR)

    _, found_NA = attribute_scores(some_features(), nets.maps().stacked())

    torch.testing.assert_close(found_NA, (attention_NAR * score_NAR).sum(dim=2))
    parts_NAR = attention_NAR / attention_NAR.sum(dim=2, keepdim=True)
    torch.testing.assert_close(region_attention(some_features(), nets.maps(), 0.0), parts_NAR)


def test_attention_of_both_nets_should_be_mixed_and_sum_to_one(nets: AttentionNets) -> None:
    first, both, second = (
        region_attention(some_features(), nets.maps(), share) for share in (1.0, 0.25, 0.0)
    )

    torch.testing.assert_close(both, 0.25 * first + 0.75 * second)
    torch.testing.assert_close(both.sum(dim=2), torch.ones(4, 5))


def test_a_features_length_should_not_matter(nets: AttentionNets) -> None:
    plain, long = (
        attribute_scores(factor * some_features(), nets.maps().stacked()) for factor in (1, 50)
    )

    for one_NA, other_NA in zip(plain, long, strict=True):
        torch.testing.assert_close(one_NA, other_NA)
