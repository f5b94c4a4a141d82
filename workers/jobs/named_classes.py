"""Reads the classes that a file names, as a job holds them, and compares new ones with them."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import TypeAdapter, ValidationError

from headgraft.models.errors import InjectionError
from headgraft.workers.jobs.request import ClassEntry, NameEmbeddings, VectorEmbeddings
from headgraft.workers.jobs.spec import JobSpec, names
from headgraft.workers.names.class_list import NamesError
from headgraft.workers.names.compare import find_twins, meaningless
from headgraft.workers.names.documents import find_names

CLASS_NAMES = "class_names"
FEWEST = 2
# Beside the tensors' own entries they must fit into a safetensors header of 8 MiB.
NAMES_BYTES_MAX = 4 << 20
ENTRIES = TypeAdapter(list[ClassEntry])


def named_classes(held: Mapping[str, Any]) -> list[ClassEntry] | None:
    """Return the classes that a file's metadata, or what lies beside its tensors, names.

    None where it names none; NamesError for names that cannot be those of a head.
    """
    found = find_names(held)
    if found is None and CLASS_NAMES not in held:
        return None
    try:
        entries = ENTRIES.validate_python(found.entries if found else [])
    except ValidationError:
        entries = []
    if len(entries) < FEWEST:
        source = found.source if found else CLASS_NAMES
        raise NamesError(
            f"{source} must list at least {FEWEST} class names, each of 1 to 200 characters"
        )
    return entries


def metadata_of_names(loaded: object) -> dict[str, str]:
    """Return the classes that a torch file names, as the metadata of a safetensors file.

    Empty where it names none that can be read: the request may name them.
    """
    try:
        found = named_classes(loaded) if isinstance(loaded, Mapping) else None
    except NamesError:
        return {}
    text = json.dumps([one.model_dump(exclude_none=True) for one in found or []])
    return {CLASS_NAMES: text} if found and len(text) <= NAMES_BYTES_MAX else {}


def classes_of_file(metadata: Mapping[str, str], spec: JobSpec) -> list[ClassEntry]:
    """Return the classes that a converted file names, for a job that was given none.

    InjectionError without any, or where the job's new classes or vectors do not fit them.
    """
    try:
        entries = named_classes(metadata)
    except NamesError:  # the process that wrote them handled untrusted data
        entries = None
    if entries is None:
        raise InjectionError(
            "the torch file names no classes: give class_names, in row order",
            code="invalid_checkpoint",
            pointer=f"/{CLASS_NAMES}",
        )
    for index, detail in twin_problems(entries, spec.add, allow_twins=spec.allow_twins):
        raise InjectionError(detail, pointer=f"/add/{index}/name")
    vectors = spec.class_embeddings
    if isinstance(vectors, VectorEmbeddings) and len(vectors.seen) != len(entries):
        raise InjectionError(
            f"{len(vectors.seen)} vectors for the {len(entries)} classes that the file names: give "
            "one per class, in order",
            pointer="/class_embeddings/seen",
        )
    return entries


def meaning_warnings(
    embeddings: NameEmbeddings | VectorEmbeddings,
    seen: Sequence[ClassEntry],
    add: Sequence[ClassEntry],
) -> list[str]:
    """Say which names tell a text encoder nothing, where one is to read them alone."""
    if not isinstance(embeddings, NameEmbeddings):
        return []
    bare = [one for one in (*seen, *add) if one.description is None]
    warning = meaningless(names(bare))
    return [warning] if warning else []


def twin_problems(
    seen: Sequence[ClassEntry], add: Sequence[ClassEntry], *, allow_twins: bool
) -> Iterator[tuple[int, str]]:
    """Yield each new class that is there already, as its number and a sentence.

    Another spelling of a class is allowed by `allow_twins`, the very same name never.
    """
    old, new = names(seen), names(add)
    known = set(old)
    first: dict[str, int] = {}
    for index, name in enumerate(new):
        if name in known:
            yield index, f"the head already has a class {name!r}"
        elif name in first:
            yield index, f"class {name!r} is already number {first[name]} of the list"
        first.setdefault(name, index)
    if allow_twins:
        return
    for index, twin in find_twins(old, new):
        if new[index] != twin:
            yield (
                index,
                f"class {new[index]!r} is the class {twin!r} in another spelling: leave it out, or "
                "allow_twins",
            )
