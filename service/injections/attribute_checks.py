"""Finds what makes attributes unfit for a method that asks what they mean, each with a pointer.

It knows nothing of what the method does with them.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping

from headgraft.service.injections.checks import row_defect
from headgraft.service.schemas.requests import InjectionRequest
from headgraft.service.web.pointers import Problem
from headgraft.workers.jobs.spec import VectorEmbeddings

NEED = "attributes"
POINTER = "/class_embeddings"


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
    return [*_count_problems(given), *_vector_problems(given), *_name_problems(given, encoders)]


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


def _vector_problems(given: VectorEmbeddings) -> Iterator[Problem]:
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
