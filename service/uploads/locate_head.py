"""Finds the head that a request speaks of, in the header of an uploaded checkpoint."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import TypeAdapter, ValidationError

from headgraft.service.schemas.requests import HeadRequest
from headgraft.service.uploads.checkpoints import Checkpoint
from headgraft.service.web.pointers import Problem
from headgraft.service.web.problems import invalid, invalid_at, invalid_checkpoint
from headgraft.workers.formats.find_head import HeadTensors, find_head
from headgraft.workers.formats.header import Header
from headgraft.workers.jobs.request import ClassEntry
from headgraft.workers.jobs.spec import StoredHead

CLASS_NAMES = "class_names"
_ENTRIES = TypeAdapter(list[ClassEntry])


@dataclass(frozen=True)
class LocatedHead:
    """The head in a checkpoint: its tensors (None in a torch file), its classes in row order.

    `others` counts the checkpoint's other tensors, None where they are not known.
    """

    tensors: HeadTensors | None
    class_names: list[ClassEntry]
    others: int | None = None

    @property
    def tensor_names(self) -> list[str]:
        """The names of the head's tensors; empty where they are not known."""
        names = (self.tensors.weight, self.tensors.bias) if self.tensors else ()
        return [name for name in names if name]


def locate_head(request: HeadRequest, header: Header | None) -> LocatedHead:
    """Find the head a request speaks of; HeaderError or a 422 problem when there is none.

    Without a header, in a torch file, a worker will locate it.
    """
    entries = request.class_names or _names_in(header)
    problems = class_problems(entries, f"/{CLASS_NAMES}")
    if problems:
        raise invalid(problems)
    if header is None:
        return LocatedHead(None, entries)
    wanted = request.head
    tensors = find_head(header, class_count=len(entries), weight=wanted.weight, bias=wanted.bias)
    return LocatedHead(tensors, entries, len(header.tensors) - (2 if tensors.bias else 1))


def _names_in(header: Header | None) -> list[ClassEntry]:
    if header is None:
        raise invalid_at(
            f"/{CLASS_NAMES}", "a torch file names no classes: give class_names, in row order"
        )
    text = header.metadata.get(CLASS_NAMES)
    if text is None:
        raise invalid_at(
            f"/{CLASS_NAMES}",
            "the classes of the head are not known: give class_names, in row order, or keep them "
            "in the file's metadata as class_names, a JSON list of strings",
        )
    try:
        names = _ENTRIES.validate_json(text)
    except ValidationError:
        names = []
    if len(names) < 2:
        raise invalid_checkpoint(
            "the metadata entry class_names must be a JSON list of at least two class names, "
            f"each of 1 to 200 characters; it is {text!r:.80}"
        )
    return names


def stored_head(request: HeadRequest, located: LocatedHead, checkpoint: Checkpoint) -> StoredHead:
    """Describe an uploaded checkpoint for the worker; HeaderError where its head is not finite."""
    if located.tensors:
        checkpoint.check_finite(located.tensors)
    return StoredHead(
        path=checkpoint.path,
        sha256=checkpoint.sha256,
        bytes=checkpoint.bytes,
        format="safetensors" if checkpoint.header else "torch",
        tensors=located.tensors,
        weight=request.head.weight,
        bias=request.head.bias,
        metric=request.head.metric,
        scale=request.head.scale,
        class_names=located.class_names,
    )


def class_problems(entries: Sequence[ClassEntry], pointer: str) -> list[Problem]:
    """Find the names that stand twice in a list of classes."""
    counts = Counter(entry.name for entry in entries)
    first: dict[str, int] = {}
    problems = []
    for index, entry in enumerate(entries):
        if counts[entry.name] > 1 and entry.name in first:
            problems.append(
                Problem(
                    f"{pointer}/{index}/name",
                    f"class {entry.name!r} is already number {first[entry.name]} of the list",
                )
            )
        first.setdefault(entry.name, index)
    return problems
