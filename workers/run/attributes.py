"""Makes of a job what its attributes mean: vectors as they were sent, or names a model has read.

It does not know what a method does with them.
"""

from collections.abc import Callable
from pathlib import Path

import torch

from headgraft.models.embeddings import encoders
from headgraft.models.task import Attributes
from headgraft.workers.jobs import spec

# A name is read as it stands: an attribute is no thing that a photo could be of.
TEMPLATES = ("{}",)
GetEncoder = Callable[[str], encoders.TextEncoder]


def attributes_of(
    given: spec.VectorEmbeddings, get_encoder: GetEncoder, cache: Path | None
) -> Attributes | None:
    """Return the vectors (A, V) and names of a job's attributes; None where it says neither."""
    names = None if given.attribute_names is None else tuple(given.attribute_names)
    if given.attribute_vectors is not None:
        return Attributes(torch.tensor(given.attribute_vectors), names)
    if names is None:
        return None
    encoder = get_encoder(given.attribute_encoder)
    none = [None] * len(names)
    vectors_AV = encoders.encode_classes(encoder, names, none, TEMPLATES, cache)
    return Attributes(vectors_AV, names)
