"""A head that compares class embeddings: what a picture seems to mean, and the nearest class."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor
from torch.nn.functional import normalize

from headgraft.models.errors import InjectionError
from headgraft.models.heads import labels
from headgraft.models.heads.head import Head, Metric

KIND = "semantic"


@dataclass(frozen=True, eq=False)
class SemanticHead:
    """A seen head (S classes), and unit class embeddings (C, A) whose first S are the seen ones.

    A feature's embedding is softmax(seen logits / temperature) times the seen embeddings; the
    logits are its cosines with all C, plus `unseen_offset` for those that the seen head lacks.
    """

    seen: Head
    class_embeddings_CA: Tensor
    class_names: tuple[str, ...]
    temperature: float = 1.0
    unseen_offset: float = 0.0

    @property
    def class_count(self) -> int:
        """C."""
        return len(self.class_names)

    @property
    def offsets_C(self) -> Tensor:
        """What is added to the cosines (C,), float32."""
        offsets_C = torch.full((self.class_count,), self.unseen_offset)
        offsets_C[: self.seen.class_count] = 0
        return offsets_C

    def logits(self, features_ND: Tensor) -> Tensor:
        """Score features (N, D): (N, C), in float32 or wider."""
        chance_NS = (self.seen.logits(features_ND) / self.temperature).softmax(dim=1)
        embeddings_CA = self.class_embeddings_CA.to(chance_NS)
        meaning_NA = chance_NS @ embeddings_CA[: self.seen.class_count]
        return normalize(meaning_NA) @ embeddings_CA.T + self.offsets_C.to(chance_NS)

    def state_dict(self) -> dict[str, Tensor]:
        """Return `weight` and, if any, `bias` of the seen head bit for bit, and the embeddings."""
        bias = {} if self.seen.bias is None else {"bias": self.seen.bias}
        return {
            "weight": self.seen.weight,
            **bias,
            "class_embeddings": self.class_embeddings_CA,
        }

    def metadata(self) -> dict[str, str]:
        """Return what a file must say beside the tensors."""
        return {
            "kind": KIND,
            **labels.metadata(self.class_names, self.seen.class_count),
            "metric": self.seen.metric,
            "scale": repr(self.seen.scale),
            "temperature": repr(self.temperature),
            "unseen_offset": repr(self.unseen_offset),
        }


def from_state_dict(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> SemanticHead:
    """Make a head from a file's tensors and metadata; InjectionError for another kind of head."""
    if metadata.get("kind") != KIND:
        raise InjectionError(
            f"the file holds a head of kind {metadata.get('kind')!r:.80}, not {KIND!r}",
            code="invalid_checkpoint",
        )
    names = tuple(json.loads(metadata["class_names"]))
    seen = Head(
        tensors["weight"],
        tensors.get("bias"),
        names[: int(metadata["seen_count"])],
        cast(Metric, metadata["metric"]),
        float(metadata["scale"]),
    )
    constants = (float(metadata["temperature"]), float(metadata["unseen_offset"]))
    return SemanticHead(seen, tensors["class_embeddings"], names, *constants)
