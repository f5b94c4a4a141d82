"""Makes a job's attribute vectors: as they were sent, or encoded from the attributes' names."""

from collections.abc import Callable
from pathlib import Path

import torch

from headgraft.models.embeddings import encoders
from headgraft.models.task import Attributes
from headgraft.workers.jobs.request import VectorEmbeddings

# Embed attribute names without a prompt template.
TEMPLATES = ("{}",)
GetEncoder = Callable[[str], encoders.TextEncoder]


def attributes_of(
    request: VectorEmbeddings, get_encoder: GetEncoder, cache: Path | None
) -> Attributes | None:
    """Return the vectors (A, V) and names of a job's attributes; None where it says neither."""
    names = None if request.attribute_names is None else tuple(request.attribute_names)
    if request.attribute_vectors is not None:
        return Attributes(torch.tensor(request.attribute_vectors), names)
    if names is None:
        return None
    encoder = get_encoder(request.attribute_encoder)
    none = [None] * len(names)
    vectors_AV = encoders.encode_classes(encoder, names, none, TEMPLATES, cache)
    return Attributes(vectors_AV, names)
