"""A head whose classes are rows of attributes, seen through attention over regions."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace

import torch
from torch import Tensor
from torch.nn.functional import normalize, pad

from headgraft.models.errors import InjectionError
from headgraft.models.heads import labels
from headgraft.models.heads.attribute_attention import (
    AttributeMaps,
    attribute_scores,
    region_attention,
)

KIND = "attribute"
POINTER = "/class_embeddings"
# Class scores are products of this many classes at once, the last ones filled up with zeros: a
# product of another size may sum in another order, and old logits are to stay bit for bit.
CLASS_BLOCK = 256
NUMBERS_MAX = 16_000_000  # of one net's attention, at once


@dataclass(frozen=True, eq=False)
class AttributeHead:
    """Trained nets, and unit class attributes (C, A) whose first `seen_count` are the seen ones.

    Logits are alpha * first net + (1 - alpha) * second, plus `margin` for unseen classes and minus
    it for seen ones. `zero_negatives` takes attributes below 0 for 0, of further classes too.
    `hold_out` is the nets' accuracy on held-out classes and pictures: T1, u, s, H.
    """

    maps: AttributeMaps
    class_attributes_CA: Tensor
    class_names: tuple[str, ...]
    seen_count: int
    alpha: float
    margin: float
    zero_negatives: bool = False
    attribute_names: tuple[str, ...] | None = None
    hold_out: Mapping[str, float] = field(default_factory=dict)

    @property
    def class_count(self) -> int:
        """C."""
        return len(self.class_names)

    @property
    def feature_size(self) -> int:
        """D."""
        return self.maps.region_scores_AD.shape[1]

    @property
    def offsets_C(self) -> Tensor:
        """What is added to the class scores (C,), float32."""
        offsets_C = torch.full((self.class_count,), self.margin)
        offsets_C[: self.seen_count] = -self.margin
        return offsets_C

    def logits(self, features_NDR: Tensor) -> Tensor:
        """Score region features (N, D, R) or (N, D, H, W): (N, C), in float32."""
        stacked_4AD, blocks_GKA = self.maps.stacked(), class_blocks(self.class_attributes_CA)
        parts = [
            class_scores(part_BDR, stacked_4AD, blocks_GKA, self.alpha)
            for part_BDR in self._parts(features_NDR)
        ]
        return torch.cat(parts)[:, : self.class_count] + self.offsets_C

    def attribute_scores(self, features_NDR: Tensor) -> Tensor:
        """Score attributes (N, A) by both nets together."""
        parts = [
            mix_scores(attribute_scores(part_BDR, self.maps.stacked()), self.alpha)
            for part_BDR in self._parts(features_NDR)
        ]
        return torch.cat(parts)

    def attention(self, features_NDR: Tensor) -> Tensor:
        """Return where each attribute is looked for (N, A, R), by both nets in their shares."""
        return region_attention(features_NDR.flatten(2).float(), self.maps, self.alpha)

    def with_classes(self, names: Sequence[str], attributes_UA: Tensor) -> "AttributeHead":
        """Add unseen classes by a row of attributes each, without training.

        Old logits stay bit for bit. InjectionError for a name or a row that cannot be.
        """
        names = tuple(names)
        repeated = [name for name in names if (*self.class_names, *names).count(name) > 1]
        if repeated:
            problem = f"class {repeated[0]!r} is there already; every name must be unique"
            raise InjectionError(problem, pointer=POINTER)
        wanted = (len(names), self.class_attributes_CA.shape[1])
        if attributes_UA.shape != wanted:
            problem = f"the attributes have shape {tuple(attributes_UA.shape)}, not {wanted}"
            raise InjectionError(problem, pointer=POINTER)
        rows_UA = unit_attributes(attributes_UA, names, zero_negatives=self.zero_negatives)
        return replace(
            self,
            class_attributes_CA=torch.cat([self.class_attributes_CA, rows_UA]),
            class_names=self.class_names + names,
        )

    def state_dict(self) -> dict[str, Tensor]:
        """Return the four maps (A, D) and the class attributes (C, A), float32."""
        return {**self.maps.named(), "class_attributes": self.class_attributes_CA}

    def metadata(self) -> dict[str, str]:
        """Return what a file must say beside the tensors."""
        metadata = {
            **labels.metadata(self.class_names, self.seen_count),
            "kind": KIND,
            "alpha": repr(self.alpha),
            "margin": repr(self.margin),
            "zero_negatives": json.dumps(self.zero_negatives),
            "hold_out": json.dumps(dict(self.hold_out)),
        }
        if self.attribute_names:
            metadata["attribute_names"] = json.dumps(self.attribute_names, ensure_ascii=False)
        return metadata

    def _parts(self, features_NDR: Tensor) -> tuple[Tensor, ...]:
        # Blocks depend on attributes and regions alone, so that more classes change no sum.
        features_NDR = features_NDR.flatten(2).float()
        numbers = len(self.maps.region_scores_AD) * features_NDR.shape[2]
        return torch.split(features_NDR, max(1, NUMBERS_MAX // numbers))


def class_blocks(class_attributes_CA: Tensor) -> Tensor:
    """Deal classes into blocks (G, CLASS_BLOCK, A), the last one filled up with zeros."""
    missing = -len(class_attributes_CA) % CLASS_BLOCK
    whole_KA = pad(class_attributes_CA, (0, 0, 0, missing))
    return whole_KA.view(-1, CLASS_BLOCK, whole_KA.shape[1])


def class_scores(
    features_NDR: Tensor, stacked_4AD: Tensor, blocks_GKA: Tensor, alpha: float
) -> Tensor:
    """Score the classes of all blocks (N, G * CLASS_BLOCK), without offsets."""
    scores_NA = mix_scores(attribute_scores(features_NDR, stacked_4AD), alpha)
    return torch.cat([scores_NA @ block_KA.T for block_KA in blocks_GKA], dim=1)


def mix_scores(both: tuple[Tensor, Tensor], alpha: float) -> Tensor:
    """Return the weighted sum of the two nets' scores, (N, A) each."""
    return alpha * both[0] + (1 - alpha) * both[1]


def unit_attributes(attributes_CA: Tensor, names: Sequence[str], *, zero_negatives: bool) -> Tensor:
    """Scale class attributes (C, A) to unit length, float32; InjectionError naming a bad class."""
    rows_CA = attributes_CA.float()
    rows_CA = rows_CA.clamp_min(0) if zero_negatives else rows_CA
    bad_C = ~torch.isfinite(rows_CA).all(dim=1) | (rows_CA == 0).all(dim=1)
    if bad_C.any():
        name = names[int(bad_C.nonzero()[0])]
        problem = f"class {name!r} has no attribute above 0, or one that is no finite number"
        raise InjectionError(problem, pointer=POINTER)
    return normalize(rows_CA)


def from_state_dict(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> AttributeHead:
    """Make a head from a file's tensors and metadata; InjectionError for another kind of head."""
    if metadata.get("kind") != KIND:
        raise InjectionError(
            f"the file holds a head of kind {metadata.get('kind')!r:.80}, not {KIND!r}",
            code="invalid_checkpoint",
        )
    maps = AttributeMaps(
        *(tensors[part.name.removesuffix("_AD")] for part in fields(AttributeMaps))
    )
    names = json.loads(metadata.get("attribute_names", "null"))
    return AttributeHead(
        maps,
        tensors["class_attributes"],
        tuple(json.loads(metadata["class_names"])),
        int(metadata["seen_count"]),
        float(metadata["alpha"]),
        float(metadata["margin"]),
        json.loads(metadata["zero_negatives"]),
        names and tuple(names),
        json.loads(metadata["hold_out"]),
    )
