"""What the document cannot say of a body: how its parts fit together. Hooks for schemathesis.

A case that is meant to be accepted gets class names of its own, vectors in their number, and a file
that holds the head it speaks of. A case that is meant to be refused is left as it is.
"""

import json
import os
import secrets
from collections.abc import Iterable
from itertools import count
from typing import Any

import schemathesis
from schemathesis.transport.serialization import Binary

from headgraft.service.injections.rules import read_methods
from tests.service.files import Tensors, checkpoint, numbers
from tests.service.test_contract import HEAD_VARIABLE, NAMES
from tests.service.uploads.feature_files import feature_tensors

KEY, RESUME = "Idempotency-Key", "Last-Event-ID"
EXAMPLE_URL = "https://example.com/headgraft"
REACHABLE_URL = "http://127.0.0.1:9/hook"  # no name can be resolved here; nobody listens there
SIZE = 4
# Without a worker that has time for it, a job ends by its deadline: nobody waits for long.
DEADLINE_SECONDS = 2
PLAIN_METHODS = [name for name, about in read_methods().items() if not about.needs]
Document = dict[str, Any]


@schemathesis.hook
def map_case(context: Any, case: Any) -> Any:
    """Make an accepted case fit together, with itself and with those before it."""
    if not case.meta.generation.mode.is_positive:
        return case
    make = MAKERS.get((case.operation.label, case.media_type))
    if make and isinstance(case.body, dict):
        # In place: a new body would be judged again, and none that holds bytes is found sound.
        fitting = make(case.body)
        case.body.clear()
        case.body.update(fitting)
    headers = case.headers or {}
    if KEY in headers:
        # A key is one request's; the next one with it is refused.
        headers[KEY] = headers[KEY][:200] + secrets.token_hex(8)
    if "If-Match" in headers:
        headers["If-Match"] = "*"
    if headers.get(RESUME) == "0":
        # What the coverage phase gives each header that has a pattern, whatever the pattern.
        headers[RESUME] = "0-0"
    return case


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    """Let a webhook's address be one that can be reached; an example is sent past `map_case`."""
    is_webhook = case.operation.label == "POST /v1/webhooks" and isinstance(case.body, dict)
    if is_webhook and case.body.get("url") == EXAMPLE_URL:
        case.body["url"] = REACHABLE_URL


def _injection(body: Document) -> Document:
    request = _request(body["request"], body["request"].get("class_names"))
    return {**body, "request": request, "checkpoint": Binary(_file(request))}


def _injection_of_kept_head(body: Document) -> Document:
    known = os.environ.get(HEAD_VARIABLE)
    # An id of nobody's is a case too.
    return _request(body, NAMES) | ({"head_id": known} if known and len(str(body)) % 2 else {})


def _head(body: Document) -> Document:
    request = body.get("request")
    if request is None:
        return {**body, "checkpoint": Binary(_file({}))}
    if request.get("class_names"):
        request = {**request, "class_names": _distinct(_two(request["class_names"]), set())}
    request = _for_plain_files({**request, "head": _fields(request)})
    return {**body, "request": request, "checkpoint": Binary(_file(request))}


def _features(body: Document) -> Document:
    return {**body, "features": Binary(checkpoint(feature_tensors()))}


def _webhook(body: Document) -> Document:
    return {**body, "url": REACHABLE_URL}


MAKERS = {
    ("POST /v1/webhooks", "application/json"): _webhook,
    ("POST /v1/injections", "multipart/form-data"): _injection,
    ("POST /v1/injections", "application/json"): _injection_of_kept_head,
    ("POST /v1/heads", "multipart/form-data"): _head,
    ("POST /v1/features", "multipart/form-data"): _features,
}


def _request(asked: Document, seen: list[Any] | None) -> Document:
    used: set[str] = set()
    classes = _distinct(_two(seen or NAMES), used)
    add = _distinct(asked["add"], used)
    fields = {
        **asked,
        "add": add,
        "method": PLAIN_METHODS[len(str(asked)) % len(PLAIN_METHODS)],
        "settings": {},
        "class_embeddings": _embeddings(asked.get("class_embeddings"), len(classes), len(add)),
        "deadline_seconds": DEADLINE_SECONDS,
    }
    if "attention_of" in asked:
        # For methods that look at regions only.
        fields["attention_of"] = None
    if "network" in asked:
        # For the checkpoints of whole networks only.
        fields["network"] = None
    if "class_names" in asked:
        fields["class_names"] = classes if asked["class_names"] else None
    if "head" in asked:
        fields["head"] = _fields(asked)
    if "calibration" in asked:
        fields["calibration"] = {**asked["calibration"], "add_bias": False}
    return _for_plain_files(fields)


def _for_plain_files(asked: Document) -> Document:
    """Leave out what speaks of tensors, or state dicts, that the files sent here do not have."""
    left_out = ("key", "allow_ungrown")
    return {name: value for name, value in asked.items() if name not in left_out}


def _two(entries: list[Any]) -> list[Any]:
    """Return two classes at least: a head of one output is refused in its own words."""
    return entries if len(entries) > 1 else [*entries, "another class"]


def _distinct(entries: Iterable[Any], used: set[str]) -> list[Any]:
    """Return classes whose names are nobody else's: those that are get a number."""
    found = []
    for entry in entries:
        name = entry if isinstance(entry, str) else entry["name"]
        fresh = next(one for one in _variants(name) if one not in used)
        used.add(fresh)
        found.append(fresh if isinstance(entry, str) else {**entry, "name": fresh})
    return found


def _variants(name: str) -> Iterable[str]:
    yield name
    for number in count():
        yield f"{number} {name}"[:200]


def _embeddings(given: Document | None, seen: int, unseen: int) -> Document:
    if given is None or "seen" not in given:
        return {**(given or {}), "encoder": "minilm"}
    rows = [[1.0 + place, 2.0, -1.0] for place in range(seen + unseen)]
    return {"kind": given["kind"], "seen": rows[:seen], "unseen": rows[seen:]}


def _fields(request: Document) -> Document:
    """Return the head's tensor names, where they are two."""
    head = request.get("head") or {}
    is_one = head.get("bias") is not None and head["bias"] == head.get("weight")
    return {**head, "bias": None} if is_one else head


def _file(request: Document) -> bytes:
    """Return a file with the head that the request speaks of."""
    head = request.get("head") or {}
    classes = request.get("class_names")
    rows = len(classes or NAMES)
    weight = head.get("weight") or "fc.weight"
    # A bias of another layer's name would stay behind, and is refused for it.
    bias = head.get("bias") or (None if head.get("weight") else "fc.bias")
    tensors: Tensors = {weight: ("F32", (rows, SIZE), numbers((rows, SIZE)))}
    if bias:
        tensors = {bias: ("F32", (rows,), numbers((rows,))), **tensors}
    return checkpoint(tensors, None if classes else {"class_names": json.dumps(NAMES)})
