"""Which regions of a few pictures an attribute head attended to, for the report."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from headgraft.models.errors import InjectionError
from headgraft.models.features.labelled import INVALID, POINTER
from headgraft.models.features.regions import RegionFeatures
from headgraft.models.heads.attribute import AttributeHead
from headgraft.workers.jobs.report import AttributeAttention, PictureAttention

PICTURES_MAX = 16
ATTRIBUTES_SHOWN = 3
DIGITS = 4
SIDE_MAX = 28  # finer grids are shown coarser
VISIBLE = 0.02  # of the darkest region


def look(
    head: AttributeHead, regions: RegionFeatures, asked: Sequence[int] | None
) -> list[PictureAttention]:
    """Tell of each picture its class, the head's answer, and the attributes that most spoke for it.

    `weights` are rows of the grid of regions, from the top, and sum to 1; a fine grid's are added
    up to a coarser one's. Without a wish, pictures of as many classes as there is room for.
    InjectionError for a number that no picture has.
    """
    numbers_P = torch.tensor(_checked(asked, len(regions.labels_N)), dtype=torch.int64)
    if asked is None:
        numbers_P = spread(regions.labels_N)
    features_PDR = regions.take(numbers_P)
    answers_P = head.logits(features_PDR).argmax(dim=1)
    # What of the answer's score is each attribute's.
    parts_PA = head.attribute_scores(features_PDR) * head.class_attributes_CA[answers_P]
    best = parts_PA.topk(min(ATTRIBUTES_SHOWN, parts_PA.shape[1]), dim=1)
    attention_PAR = head.attention(features_PDR)
    return [
        PictureAttention(
            picture=int(number),
            class_name=head.class_names[int(regions.labels_N[number])],
            answer=head.class_names[int(answers_P[place])],
            attributes=[
                AttributeAttention(
                    name=_name(head, attribute),
                    score=round(score, DIGITS),
                    weights=_grid(attention_PAR[place, attribute], regions.grid),
                )
                for attribute, score in zip(
                    best.indices[place].tolist(), best.values[place].tolist(), strict=True
                )
            ],
        )
        for place, number in enumerate(numbers_P)
    ]


def spread(labels_N: Tensor) -> Tensor:
    """Choose the first picture of each of at most PICTURES_MAX classes, evenly spread over them."""
    classes_P = torch.unique(labels_N)
    step = -(-len(classes_P) // PICTURES_MAX)
    return torch.stack([(labels_N == one).nonzero()[0, 0] for one in classes_P[::step]])


def _checked(asked: Sequence[int] | None, pictures: int) -> list[int]:
    for number in asked or ():
        if not 0 <= number < pictures:
            raise InjectionError(
                f"attention_of names picture {number}; pictures are 0 to {pictures - 1}",
                code=INVALID,
                pointer=POINTER,
            )
    return list(asked or ())


def _name(head: AttributeHead, attribute: int) -> str:
    return head.attribute_names[attribute] if head.attribute_names else f"attribute {attribute}"


def _grid(weights_R: Tensor, grid: tuple[int, int]) -> list[list[float]]:
    shown = (min(grid[0], SIDE_MAX), min(grid[1], SIDE_MAX))
    coarse_HW = adaptive_avg_pool2d(weights_R.view(1, *grid), shown)[0]
    rows: list[list[float]] = (coarse_HW / coarse_HW.sum()).tolist()
    return [[round(weight, DIGITS) for weight in row] for row in rows]


def cells(weights: Sequence[Sequence[float]]) -> list[tuple[int, int, float]]:
    """Return column, row and share of the largest weight, of every cell that can be seen."""
    most = max(max(row) for row in weights) or 1.0
    shares = (
        (x, y, weight / most) for y, row in enumerate(weights) for x, weight in enumerate(row)
    )
    return [cell for cell in shares if cell[2] >= VISIBLE]
