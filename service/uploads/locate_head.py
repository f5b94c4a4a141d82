"""Finds the head that a request speaks of, in the header of an uploaded checkpoint."""

from dataclasses import dataclass

from headgraft.service.schemas.requests import HeadRequest
from headgraft.service.uploads.checkpoints import Checkpoint
from headgraft.service.web.problems import invalid_at, invalid_checkpoint
from headgraft.workers.formats.find_head import HeadTensors, find_head
from headgraft.workers.formats.header import Header
from headgraft.workers.jobs.named_classes import named_classes
from headgraft.workers.jobs.request import ClassEntry
from headgraft.workers.jobs.spec import StoredHead
from headgraft.workers.names.class_list import NamesError

CLASS_NAMES = "class_names"
ONE_CLASS = (
    "one class name: a head of one output (binary) tells a class from all else by its sign, and no "
    "class can be put beside it. Make it two rows, zeros and this one, and name both"
)


@dataclass(frozen=True)
class LocatedHead:
    """The head in a checkpoint: its tensors (None in a torch file), its classes in row order.

    `others` counts the checkpoint's other tensors, None where they are not known.
    No classes where nobody has named them yet: a worker looks for their names in a torch file.
    """

    tensors: HeadTensors | None
    class_names: list[ClassEntry]
    others: int | None = None

    @property
    def tensor_names(self) -> list[str]:
        """The names of the head's tensors; empty where they are not known."""
        return self.tensors.grown if self.tensors else []


def locate_head(request: HeadRequest, header: Header | None) -> LocatedHead:
    """Find the head a request speaks of; HeaderError or a 422 problem when there is none.

    Without a header, in a torch file, a worker will locate it.
    """
    entries = request.class_names or _names_in(header)
    if len(entries) == 1:
        raise invalid_at(f"/{CLASS_NAMES}", ONE_CLASS)
    if header is None:
        return LocatedHead(None, entries)
    if request.key is not None:
        detail = "key chooses among the state dicts of a torch file; a safetensors file has one"
        raise invalid_at("/key", detail)
    wanted = request.head
    tensors = find_head(
        header,
        class_count=len(entries),
        weight=wanted.weight,
        bias=wanted.bias,
        allow_ungrown=request.allow_ungrown,
    )
    return LocatedHead(tensors, entries, len(header.tensors) - len(tensors.grown))


def _names_in(header: Header | None) -> list[ClassEntry]:
    """Return the names in a file's metadata; none of a torch file, in which a worker looks."""
    if header is None:
        return []
    try:
        found = named_classes(header.metadata)
    except NamesError as error:
        detail = f"the class names in the file's metadata cannot be read: {error}"
        raise invalid_checkpoint(detail) from error
    if found is None:
        raise invalid_at(
            f"/{CLASS_NAMES}",
            "the classes of the head are not known: give class_names, in row order, or keep them "
            "in the file's metadata as class_names or id2label, in JSON",
        )
    return found


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
        key=request.key,
        allow_ungrown=request.allow_ungrown,
    )
