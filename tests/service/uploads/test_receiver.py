"""What may be wrong with a file, seen while it streams by; and what an upload costs."""

import http.client
import json
import os
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from tests.processes import Processes, eventually
from tests.sending import BOUNDARY, CONTENT_TYPE, ENDING, MIB, part, part_head, post_head
from tests.service.files import (
    SEEN,
    checkpoint,
    head_tensors,
    injection,
    numbers,
    pointers,
    problem,
    stored,
    submit,
)

ORDERS = pytest.mark.parametrize("file_first", [False, True], ids=["request first", "file first"])


def header_of(document: object) -> bytes:
    """Return the start of a file with this header."""
    raw = json.dumps(document).encode()
    return len(raw).to_bytes(8, "little") + raw


# tests/faults/test_malformed.py has the table of defects, each with its words.
BROKEN = {
    "no safetensors": b"PK\x03\x04" + b"x" * 500,
    "much behind the end": checkpoint() + b"x" * (3 * MIB),
    "no JSON": (4).to_bytes(8, "little") + b"nope",
}


@ORDERS
@pytest.mark.parametrize("file", BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_file_should_be_refused_and_leave_nothing(
    api: httpx.Client, kept: Path, file: bytes, file_first: bool
) -> None:
    document = problem(submit(api, file=file, file_first=file_first), 422, "invalid_checkpoint")

    assert pointers(document) == [""]
    assert stored(kept) == []


@pytest.mark.parametrize("dtype", ["F16", "BF16", "F32", "F64"])
def test_a_head_that_is_not_finite_should_be_refused(
    api: httpx.Client, kept: Path, dtype: str
) -> None:
    bad_weight = checkpoint(head_tensors(dtype, bad_weight=(5 * 16 + 3, float("nan"))))
    bad_bias = checkpoint(head_tensors(dtype, bad_bias=(SEEN - 1, -float("inf"))))

    in_weight = submit(api, file=bad_weight)
    in_bias = submit(api, file=bad_bias)

    assert "'fc.weight'" in problem(in_weight, 422, "invalid_checkpoint")["detail"]
    assert "row 5" in in_weight.json()["detail"]
    assert "'fc.bias'" in problem(in_bias, 422, "invalid_checkpoint")["detail"]
    assert f"row {SEEN - 1}" in in_bias.json()["detail"]
    assert stored(kept) == []


@ORDERS
def test_numbers_outside_the_head_may_be_anything(api: httpx.Client, file_first: bool) -> None:
    nan = numbers((4, 4), bad=(0, float("nan")))
    tensors = {"other.weight": ("F32", (4, 4), nan), **head_tensors()}

    response = submit(api, file=checkpoint(tensors), file_first=file_first)

    assert response.status_code == 202, response.text


@ORDERS
def test_a_head_at_any_byte_of_a_large_file_should_be_checked(
    api: httpx.Client, file_first: bool
) -> None:
    filler = {"filler": ("U8", (3 * MIB + 1,), b"\xff" * (3 * MIB + 1))}
    sound = checkpoint({**filler, **head_tensors("F64")})
    bad = checkpoint({**filler, **head_tensors("F64", bad_bias=(2, float("nan")))})

    assert submit(api, file=sound, file_first=file_first).status_code == 202
    refused = submit(api, file=bad, file_first=file_first)
    assert "row 2" in problem(refused, 422, "invalid_checkpoint")["detail"]


def test_a_defect_in_the_request_should_be_told_before_the_file_is_sent(
    open_api: Processes,
) -> None:
    start = part("request", json.dumps(injection(method="wizard")).encode())
    start += part("checkpoint", checkpoint()[:-100]).removesuffix(b"\r\n")
    with _posting(open_api.port, start, length=10**9) as connection:
        response = http.client.HTTPResponse(connection)
        response.begin()

        assert response.status == 422
        assert b"wizard" in response.read()


@pytest.mark.parametrize("cut", ["in the file", "behind the file"])
def test_a_client_that_goes_away_should_leave_nothing_and_no_traceback(
    open_api: Processes, kept: Path, cut: str
) -> None:
    file = checkpoint({"filler": ("U8", (8 * MIB,), b"x" * (8 * MIB)), **head_tensors()})
    start = part("checkpoint", file)
    log = open_api.log("headgraft.service.server")
    before = len(log.read_text())
    with _posting(open_api.port, start if cut == "behind the file" else start[: 6 * MIB]):
        eventually(lambda: stored(kept), 60, "the upload has begun")

    eventually(lambda: not stored(kept), 60, "nothing is left")
    eventually(lambda: '"status": 499' in log.read_text()[before:], 60, "the request is logged")
    assert "Traceback" not in log.read_text()[before:]


@pytest.mark.parametrize("body", [b"", b"nonsense", b"--" + BOUNDARY + b"\r\n"])
def test_a_body_that_is_no_multipart_should_be_refused(api: httpx.Client, body: bytes) -> None:

    response = api.post("/v1/injections", content=body, headers={"Content-Type": CONTENT_TYPE})

    problem(response, 422, "invalid_request")


@pytest.mark.parametrize(
    "content_type", ["text/plain", "multipart/form-data", "application/x-www-form-urlencoded", ""]
)
def test_another_content_type_should_be_refused_with_the_legal_ones(
    api: httpx.Client, content_type: str
) -> None:
    response = api.post("/v1/injections", content=b"x", headers={"Content-Type": content_type})

    document = problem(response, 415, "unsupported_media_type")
    assert "multipart/form-data" in document["detail"]


def test_an_upload_should_not_grow_the_servers_memory(open_api: Processes, kept: Path) -> None:
    size = 768 * MIB
    document = {
        "filler": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]},
        "fc.weight": {"dtype": "F32", "shape": [2, 1], "data_offsets": [size, size + 8]},
    }
    head = part("request", json.dumps(injection(class_names=["a", "b"])).encode())
    start = head + part_head("checkpoint") + header_of(document)
    end = struct.pack("<2f", 1, 2) + b"\r\n" + ENDING
    process = psutil.Process(_pid_listening(open_api))
    before = peak = process.memory_info().rss

    with _posting(open_api.port, start, length=len(start) + size + len(end)) as connection:
        block = os.urandom(MIB)
        for _ in range(size // MIB):
            connection.sendall(block)
            peak = max(peak, process.memory_info().rss)
        connection.sendall(end)
        response = http.client.HTTPResponse(connection)
        response.begin()
        assert response.status == 202, response.read()

    assert peak - before < 150 * MIB, f"{(peak - before) / MIB:.0f} MiB for an upload of 768"
    file = next(kept.rglob("checkpoint.safetensors"))
    assert file.stat().st_size == len(header_of(document)) + size + 8


def _pid_listening(processes: Processes) -> int:
    return next(one.pid for one in processes.started if one.poll() is None)


class _posting:  # noqa: N801  # read as a verb: with _posting(...)
    """Opens a POST by hand, so that a test can stop in the middle of it."""

    def __init__(self, port: int, start: bytes, length: int = 10**9) -> None:
        self._connection = socket.create_connection(("127.0.0.1", port), timeout=30)
        head = post_head(f"Content-Type: {CONTENT_TYPE}", f"Content-Length: {length}")
        self._connection.sendall(head + start)

    def __enter__(self) -> socket.socket:
        return self._connection

    def __exit__(self, *_: object) -> None:
        self._connection.close()


def chunks(content: bytes, size: int) -> Iterator[bytes]:
    """Cut bytes into pieces."""
    yield from (content[at : at + size] for at in range(0, len(content), size))


@ORDERS
def test_a_body_may_come_in_chunks_of_any_size(
    api: httpx.Client, kept: Path, file_first: bool
) -> None:
    both = [
        part("request", json.dumps(injection()).encode()),
        part("checkpoint", checkpoint()),
    ]
    body = b"".join(both[::-1] if file_first else both) + ENDING

    for size in (1, 7, 1000):
        response = api.post(
            "/v1/injections", content=chunks(body, size), headers={"Content-Type": CONTENT_TYPE}
        )
        assert response.status_code == 202, response.text
    files = {path.read_bytes() for path in kept.rglob("checkpoint.safetensors")}
    assert files == {checkpoint()}
