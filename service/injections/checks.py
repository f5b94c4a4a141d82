"""Finds what makes a request impossible: names, counts, vectors, attributes, the network."""

import math
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence

from headgraft.service.schemas.requests import InjectionRequest
from headgraft.service.web.pointers import Problem
from headgraft.workers.formats.find_head import HeadTensors
from headgraft.workers.jobs.named_classes import twin_problems
from headgraft.workers.jobs.presence import EncoderPresence
from headgraft.workers.jobs.request import ClassEntry, Row, VectorEmbeddings
from headgraft.workers.jobs.spec import StoredFeatures

PROMPTED = "open_clip"  # the kind of encoder that reads prompts
NEED = "attributes"
POINTER = "/class_embeddings"


def injection_problems(request: InjectionRequest, seen: Sequence[ClassEntry]) -> list[Problem]:
    """Find what makes an injection into this head impossible: names, counts, vectors.

    `seen` is empty while nobody knows the head's classes.
    """
    found = twin_problems(seen, request.add, allow_twins=request.allow_twins)
    problems = [Problem(f"/add/{index}/name", detail) for index, detail in found]
    if isinstance(request.class_embeddings, VectorEmbeddings):
        problems += _vector_problems(request.class_embeddings, seen, request.add)
    return problems


def joint_problem(
    request: InjectionRequest, tensors: HeadTensors, encoder_size: int | None
) -> Problem | None:
    """Say why class embeddings cannot serve as rows: their size must be the head's feature size.

    `encoder_size` is the named encoder's dimension, None while no worker has announced it.
    """
    vectors = request.class_embeddings
    size = encoder_size
    if isinstance(vectors, VectorEmbeddings) and vectors.seen:
        size = len(vectors.seen[0])
    if size is None or size == tensors.feature_size:
        return None
    return Problem(
        "/class_embeddings",
        f"method {request.method!r} uses the class embeddings themselves as rows: they have "
        f"{size} numbers, the head's rows have {tensors.feature_size}",
    )


def prompt_problem(
    request: InjectionRequest,
    tensors: HeadTensors | None,
    encoders: Mapping[str, EncoderPresence],
) -> Problem | None:
    """Say why a method cannot write prompts: they are read by an encoder of the head's features.

    `encoders` are those announced; nothing is said of another.
    """
    wanted, method = request.class_embeddings, f"method {request.method!r}"
    if isinstance(wanted, VectorEmbeddings):
        detail = f"{method} writes prompts: name an open_clip encoder in place of vectors"
        return Problem("/class_embeddings", detail)
    about = encoders.get(wanted.encoder)
    if about is None:
        return None
    where = "/class_embeddings/encoder"
    if about.kind != PROMPTED:
        legal = ", ".join(sorted(n for n, other in encoders.items() if other.kind == PROMPTED))
        return Problem(
            where,
            f"{method} writes prompts for an open_clip encoder, which {wanted.encoder!r} is not; "
            f"online are: {legal or 'none'}",
        )
    if tensors and about.dimension != tensors.feature_size:
        return Problem(
            where,
            f"{method} compares text with the head's features: encoder {wanted.encoder!r} gives "
            f"{about.dimension} numbers, the head reads {tensors.feature_size}",
        )
    return None


def network_problems(
    request: InjectionRequest, others: int | None, features: StoredFeatures | None
) -> list[Problem]:
    """Find why no picture can be run through the network that a request names, or need not be.

    `others` counts the checkpoint's tensors beside the head's, None where they are not known.
    """
    pointer = "/network"
    if request.network is None:
        return []
    problems = []
    if not request.calibration.enabled and request.method != "auto":
        detail = "nothing would use the pictures: calibration is off"
        problems.append(Problem(pointer, detail))
    if others == 0:
        detail = (
            "the checkpoint holds the head's tensors alone: send all of the network's, or leave "
            "network out"
        )
        problems.append(Problem(pointer, detail))
    if features and features.unlabelled:
        detail = (
            "pictures of your own without a label, in features_id, take the place of generic "
            "ones: leave network out"
        )
        problems.append(Problem(pointer, detail))
    return problems


def _vector_problems(
    vectors: VectorEmbeddings, seen: Sequence[ClassEntry], add: Sequence[ClassEntry]
) -> list[Problem]:
    size = len(vectors.seen[0]) if vectors.seen else 0
    problems: list[Problem] = []
    parts = [("seen", vectors.seen, seen), ("unseen", vectors.unseen, add)]
    if not seen:  # of a torch file that nobody has read yet
        parts = parts[1:]
    for part, rows, entries in parts:
        pointer = f"/class_embeddings/{part}"
        if len(rows) != len(entries):
            detail = f"{len(rows)} vectors for {len(entries)} classes: give one per class, in order"
            problems.append(Problem(pointer, detail))
            continue
        named = zip(rows, entries, strict=True)
        problems += [
            Problem(f"{pointer}/{index}", f"the vector of class {entry.name!r} {defect}")
            for index, (row, entry) in enumerate(named)
            if (defect := row_defect(row, size, "the first seen class"))
        ]
    return problems


def row_defect(row: Row, size: int, first: str) -> str | None:
    """Say what is wrong with a vector that must have as many numbers as the first one has."""
    if len(row) == 0:
        return "is empty"
    if len(row) != size:
        return f"has {len(row)} numbers; {first} has {size}"
    if not all(map(math.isfinite, row)):
        return "holds NaN or infinity"
    return None if any(row) else "is all zero"


def attribute_problems(
    request: InjectionRequest, needs: Collection[str], encoders: Mapping[str, int]
) -> list[Problem]:
    """Find what is wrong with the attributes of a request, or with there being none.

    `encoders` are those online; nothing is said of another while there is none.
    """
    given = request.class_embeddings
    if NEED not in needs:
        return _unused(request)
    if not isinstance(given, VectorEmbeddings) or given.kind != "attributes":
        detail = (
            f"method {request.method!r} reads attributes: send class_embeddings of kind "
            f"'attributes', not {given.kind!r}"
        )
        return [Problem(f"{POINTER}/kind", detail)]
    if given.attribute_vectors is None and given.attribute_names is None:
        detail = (
            f"method {request.method!r} must know what each attribute means: give "
            "attribute_vectors, or attribute_names for a text encoder"
        )
        return [Problem(POINTER, detail)]
    return [
        *_count_problems(given),
        *_attribute_vector_problems(given),
        *_name_problems(given, encoders),
    ]


def _unused(request: InjectionRequest) -> list[Problem]:
    given = request.class_embeddings
    named = given.model_fields_set & {"attribute_names", "attribute_vectors", "attribute_encoder"}
    return [
        Problem(f"{POINTER}/{field}", f"method {request.method!r} does not look at {field}")
        for field in sorted(named)
    ]


def _count_problems(given: VectorEmbeddings) -> Iterator[Problem]:
    attributes = len(given.seen[0]) if given.seen else 0
    lists = {"attribute_names": given.attribute_names, "attribute_vectors": given.attribute_vectors}
    for field, values in lists.items():
        if values is not None and len(values) != attributes:
            detail = f"{len(values)} {field} for classes of {attributes} attributes: one for each"
            yield Problem(f"{POINTER}/{field}", detail)


def _attribute_vector_problems(given: VectorEmbeddings) -> Iterator[Problem]:
    vectors = given.attribute_vectors or []
    for index, vector in enumerate(vectors):
        defect = row_defect(vector, len(vectors[0]), "the first attribute")
        if defect:
            yield Problem(f"{POINTER}/attribute_vectors/{index}", f"the vector {defect}")


def _name_problems(given: VectorEmbeddings, encoders: Mapping[str, int]) -> Iterator[Problem]:
    names = given.attribute_names or []
    for name, count in Counter(names).items():
        if count > 1:
            detail = f"attribute {name!r} stands {count} times; every name once"
            yield Problem(f"{POINTER}/attribute_names/{names.index(name)}", detail)
    is_read = given.attribute_vectors is None
    if is_read and encoders and given.attribute_encoder not in encoders:
        legal = ", ".join(sorted(encoders))
        detail = f"encoder {given.attribute_encoder!r} is not one of those online: {legal}"
        yield Problem(f"{POINTER}/attribute_encoder", detail)
