"""What may be wrong with a submission, each refused by name before anything is kept or queued."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from headgraft.service.injections.rules import METHODS_FILE
from tests.ledger import Ledger
from tests.processes import Processes
from tests.service.files import (
    FEATURES,
    SEEN,
    checkpoint,
    class_names,
    head_tensors,
    injection,
    numbers,
    pointers,
    problem,
    stored,
    submit,
)

NAN, INF = float("nan"), float("inf")
METHODS = json.loads(METHODS_FILE.read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Case:
    """A submission with one defect, and what its refusal must say; the rest of it is sound."""

    says: str
    file: bytes | None = None
    request: object = None
    code: str = "invalid_checkpoint"
    pointer: str = ""


def headed(header: bytes, data: bytes = b"") -> bytes:
    """Return a file with this header, whatever it is."""
    return len(header).to_bytes(8, "little") + header + data


def ranges(**tensors: tuple[list[int], list[int]]) -> bytes:
    """Return a file of F32 tensors at these shapes and offsets, beside a sound head."""
    size = SEEN * FEATURES * 4
    header: dict[str, Any] = {"fc.weight": entry([SEEN, FEATURES], [0, size])}
    header |= {
        name: entry(shape, [at + size for at in place]) for name, (shape, place) in tensors.items()
    }
    return headed(json.dumps(header).encode(), bytes(size + 64))


def entry(shape: list[int], offsets: list[int]) -> dict[str, object]:
    return {"dtype": "F32", "shape": shape, "data_offsets": offsets}


def integer_head() -> bytes:
    tensors = head_tensors()
    tensors["fc.weight"] = ("I32", (SEEN, FEATURES), bytes(SEEN * FEATURES * 4))
    return checkpoint(tensors)


def method(name: str, settings: object = None) -> object:
    return injection(method=name, settings=settings)


DIGITS = b"9" * 5000
DEPTH = 200_000
TWICE = headed(
    b'{"fc.weight":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},'
    b'"fc.weight":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}',
    bytes(4),
)
WITHIN_DIGITS = b'{"fc.weight":{"dtype":"F32","shape":[%b],"data_offsets":[0,4]}}' % DIGITS

FILES = {
    "truncated data": Case("is truncated", checkpoint()[:-1]),
    "truncated header": Case("ends within its header", checkpoint()[:60]),
    "truncated length": Case("ends within its header, after 5 bytes", checkpoint()[:5]),
    "an empty file": Case("ends within its header, after 0 bytes", b""),
    "bytes behind the end": Case("bytes behind its last tensor", checkpoint() + b"!"),
    "overlapping ranges": Case("'b' overlaps 'a'", ranges(a=([2], [0, 8]), b=([2], [4, 12]))),
    "the same range twice": Case("overlaps", ranges(a=([2], [0, 8]), b=([2], [0, 8]))),
    "an uncovered range": Case("leaves a gap after 'a'", ranges(a=([1], [0, 4]), b=([1], [8, 12]))),
    "an uncovered start": Case(
        "bytes before tensor 'a' belong to no tensor",
        headed(json.dumps({"a": entry([1], [4, 8])}).encode(), bytes(8)),
    ),
    "a range backwards": Case("must be [start, end]", ranges(a=([1], [4, 0]))),
    "a shape that does not fill": Case("does not fill the 8 bytes", ranges(a=([3], [0, 8]))),
    "a header of 2^60 bytes": Case(f"header of {2**60} bytes", (2**60).to_bytes(8, "little")),
    "a header of 2^60 bytes, and some of them": Case(
        f"header of {2**60} bytes", (2**60).to_bytes(8, "little") + b"{" * 100_000
    ),
    "5,000 digits": Case("number out of range", headed(WITHIN_DIGITS, bytes(4))),
    "200,000 lists deep": Case("recursion limit", headed(b'{"a":' + b"[" * DEPTH)),
    "200,000 objects deep": Case("recursion limit", headed(b'{"a":' * DEPTH)),
    "duplicate tensor names": Case("duplicate key", TWICE),
    "NaN in the weight": Case("row 2", checkpoint(head_tensors(bad_weight=(2 * FEATURES, NAN)))),
    "Inf in the weight": Case("infinity", checkpoint(head_tensors(bad_weight=(7, INF)))),
    "NaN in the bias": Case("'fc.bias'", checkpoint(head_tensors(bad_bias=(3, NAN)))),
    "-Inf in the bias": Case("row 3", checkpoint(head_tensors("F16", bad_bias=(3, -INF)))),
    "an integer head": Case("is I32; legal are F16, BF16, F32, F64", integer_head()),
    "fewer rows than names": Case(
        f"you gave {SEEN} class names, 'fc.weight' has {SEEN - 1} rows",
        checkpoint(head_tensors(seen=SEEN - 1)),
    ),
    "a bias of another length": Case(
        f"of shape [{SEEN}]",
        checkpoint({**head_tensors(), "fc.bias": ("F32", (SEEN + 1,), numbers((SEEN + 1,)))}),
    ),
}
REQUESTS = {
    "more names than rows": Case(
        f"you gave {SEEN + 1} class names, 'fc.weight' has {SEEN} rows",
        request=injection(class_names=class_names(SEEN + 1)),
    ),
    "a control character in a name": Case(
        "holds the control character U+0007",
        request=injection(class_names=[*class_names(SEEN - 1), "a bell\a"]),
        code="invalid_request",
        pointer=f"/class_names/{SEEN - 1}",
    ),
    "a new name twice": Case(
        "'x' is already number 0",
        request=injection(add=["x", "y", "x"]),
        code="invalid_request",
        pointer="/add/2/name",
    ),
    "a new name that is there": Case(
        "already has a class 'class 3'",
        request=injection(add=["x", "class 3"]),
        code="invalid_request",
        pointer="/add/1/name",
    ),
    "a new name in another spelling": Case(
        "'CLASS_3' is the class 'class 3' in another spelling",
        request=injection(add=["x", "CLASS_3"]),
        code="invalid_request",
        pointer="/add/1/name",
    ),
    "an unknown method": Case(
        f"'wizard' is not one of {', '.join(sorted(METHODS))}",
        request=method("wizard"),
        code="invalid_request",
        pointer="/method",
    ),
    "an unknown setting": Case(
        "method 'ridge' has no setting 'gama' (did you mean 'gamma'?); it has:",
        request=method("ridge", {"gama": 1}),
        code="invalid_request",
        pointer="/settings/gama",
    ),
    "a setting out of bounds": Case(
        "setting 'epochs' of method 'icis' cannot be 0; it must be integer at least 1",
        request=method("icis", {"epochs": 0}),
        code="invalid_request",
        pointer="/settings/epochs",
    ),
    "a setting of another type": Case(
        "cannot be 'many'",
        request=method("icis", {"epochs": "many"}),
        code="invalid_request",
        pointer="/settings/epochs",
    ),
    "a request 200,000 deep": Case(
        "not JSON", request=b'{"settings":' + b"[" * DEPTH, code="invalid_request"
    ),
    "a request with 5,000 digits": Case(
        "number out of range",
        request=b'{"add":["x"],"timeout_seconds":%b}' % DIGITS,
        code="invalid_request",
    ),
    "a request cut off": Case("not JSON", request=b'{"add":["x"', code="invalid_request"),
}
CASES = FILES | REQUESTS


@pytest.fixture(scope="module")
def processes(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes]:
    started = Processes(tmp_path_factory.mktemp("malformed"), redis_url)
    started.start_api()
    yield started
    started.stop()


@pytest.mark.parametrize("file_first", [False, True], ids=["request first", "file first"])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_a_defect_should_be_refused_by_name_and_leave_nothing(
    processes: Processes, ledger: Ledger, case: Case, file_first: bool
) -> None:
    before = stored(processes.store_folder)
    with httpx.Client(base_url=processes.url, timeout=30) as client:
        answer = submit(client, case.request, case.file, file_first=file_first)

    document = problem(answer, 422, case.code)
    assert case.says in json.dumps(document, ensure_ascii=False)
    assert pointers(document)[:1] == [case.pointer]
    assert stored(processes.store_folder) == before
    assert ledger.jobs("local") == []
    assert not ledger.client.exists(ledger.key("queue"))
    assert "Traceback" not in processes.log("headgraft.service.server").read_text()


def test_the_same_submission_without_a_defect_should_be_taken(
    processes: Processes, ledger: Ledger
) -> None:
    with httpx.Client(base_url=processes.url, timeout=30) as client:
        assert submit(client).status_code == 202

    assert ledger.client.xlen(ledger.key("queue")) == 1
