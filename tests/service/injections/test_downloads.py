"""Downloads over HTTP: validators, ranges, HEAD, and a file that no memory holds."""

import base64
import contextlib
import hashlib
import os
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from headgraft.workers.store import Store
from tests.documents import manifest
from tests.ledger import Ledger
from tests.processes import Processes
from tests.service.files import problem
from tests.service.injections.finished import finished
from tests.service.injections.test_routes import TOKEN, begin, created

CONTENT = bytes(range(256)) * 40
SHA256 = hashlib.sha256(CONTENT).hexdigest()
TAG = f'"{SHA256}"'
GIB = 1024**3
MIB = 1024**2


@pytest.fixture
def store(open_api: Processes) -> Store:
    """Return the store that the server without keys serves from."""
    return Store(f"file://{open_api.store_folder}")


@pytest.fixture
def head(api: httpx.Client, ledger: Ledger, store: Store) -> str:
    """Return the address of a head to download."""
    files = {"head.safetensors": CONTENT, "labels.json": b"{}", "report.json": b"{}"}
    return f"{finished(api, ledger, store, files)}/head"


def test_a_download_should_say_what_it_is(api: httpx.Client, head: str) -> None:
    whole = api.get(head)

    assert (whole.status_code, whole.content) == (200, CONTENT)
    assert whole.headers["etag"] == TAG
    digest = base64.b64encode(hashlib.sha256(whole.content).digest()).decode()
    assert whole.headers["repr-digest"] == f"sha-256=:{digest}:"
    assert whole.headers["accept-ranges"] == "bytes"
    assert whole.headers["cache-control"] == "private, no-cache"
    job = head.split("/")[3]
    assert whole.headers["content-disposition"] == f'attachment; filename="{job}.safetensors"'
    labels = api.get(head, params={"format": "labels"})
    assert f'filename="{job}.labels.json"' in labels.headers["content-disposition"]


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [("bytes=0-99", 0, 100), ("bytes=10000-", 10000, 10240), ("bytes=-1", 10239, 10240)],
)
def test_a_range_should_be_a_part_of_the_same_file(
    api: httpx.Client, head: str, asked: str, start: int, end: int
) -> None:
    part = api.get(head, headers={"Range": asked, "If-Range": TAG})

    assert (part.status_code, part.content) == (206, CONTENT[start:end])
    assert part.headers["content-range"] == f"bytes {start}-{end - 1}/{len(CONTENT)}"
    assert part.headers["content-length"] == str(end - start)
    assert part.headers["etag"] == TAG
    assert part.headers["repr-digest"] == api.get(head).headers["repr-digest"]


def test_parts_should_join_to_the_file(api: httpx.Client, head: str) -> None:
    first = api.get(head, headers={"Range": "bytes=0-4999"}).content
    second = api.get(head, headers={"Range": "bytes=5000-", "If-Range": TAG}).content

    assert hashlib.sha256(first + second).hexdigest() == SHA256


@pytest.mark.parametrize(
    "headers",
    [
        {"Range": "bytes=0-9,20-29"},
        {"Range": "bytes=9-0"},
        {"Range": "bytes=0-9", "If-Range": '"another"'},
        {"Range": "bytes=0-9", "If-Range": f"W/{TAG}"},
    ],
)
def test_what_is_no_single_range_of_this_file_should_be_the_whole_file(
    api: httpx.Client, head: str, headers: dict[str, str]
) -> None:
    whole = api.get(head, headers=headers)

    assert (whole.status_code, whole.content) == (200, CONTENT)
    assert "content-range" not in whole.headers


def test_a_range_beyond_the_end_should_be_told_the_size(api: httpx.Client, head: str) -> None:
    response = api.get(head, headers={"Range": f"bytes={len(CONTENT)}-"})

    problem(response, 416, "range_not_satisfiable")
    assert response.headers["content-range"] == f"bytes */{len(CONTENT)}"


@pytest.mark.parametrize("lines", [[TAG], [f"W/{TAG}"], ["*"], ['"x"', f'"y", {TAG}']])
def test_a_file_that_is_there_already_should_not_be_sent(
    api: httpx.Client, head: str, lines: list[str]
) -> None:
    for method in ("GET", "HEAD"):
        headers = [("If-None-Match", line) for line in lines] + [("Range", "bytes=0-9")]
        unchanged = api.request(method, head, headers=headers)
        assert (unchanged.status_code, unchanged.content) == (304, b"")
        assert unchanged.headers["etag"] == TAG


def test_a_file_that_is_another_should_not_be_sent(api: httpx.Client, head: str) -> None:
    refused = api.get(head, headers={"If-Match": '"another"'})

    problem(refused, 412, "precondition_failed")
    assert refused.headers["etag"] == TAG
    assert api.get(head, headers={"If-Match": TAG}).content == CONTENT


def test_head_should_answer_as_get_does_without_the_content(api: httpx.Client, head: str) -> None:
    own = head.removesuffix("/head")
    for address in (head, f"{head}?format=labels", f"{own}/report"):
        whole = api.get(address)
        alone = api.head(address, headers={"Range": "bytes=0-9"})
        assert (alone.status_code, alone.content) == (200, b"")
        for name in ("content-length", "content-type", "etag", "repr-digest", "accept-ranges"):
            assert alone.headers[name] == whole.headers[name]
    assert api.head(f"{own}/head?format=npz").status_code == 409
    assert api.head(f"/v1/injections/{created(api)}/head").status_code == 409
    assert api.head("/v1/injections/nobodys/head").status_code == 404


def test_a_format_that_was_not_written_should_name_those_that_were(
    api: httpx.Client, head: str
) -> None:
    document = problem(api.get(head, params={"format": "onnx"}), 409, "format_not_written")

    assert "ask for ?format=safetensors or ?format=labels" in document["detail"]
    assert "2 GiB" in document["detail"]


def test_a_report_should_have_validators_of_its_own(
    api: httpx.Client, ledger: Ledger, store: Store
) -> None:
    files = {"report.json": b"{}", "report.html": b"<p>"}
    page = {"style_source": "sha256-x"}
    report = f"{finished(api, ledger, store, files, page=page)}/report"

    as_json, as_html = (api.get(report, params={"format": one}) for one in ("json", "html"))

    assert as_json.headers["etag"] != as_html.headers["etag"]
    seen = {"If-None-Match": as_html.headers["etag"]}
    assert api.get(report, params={"format": "html"}, headers=seen).status_code == 304
    assert api.get(report, headers=seen).status_code == 200


def sparse(api: httpx.Client, ledger: Ledger, folder: Path, size: int, mark: bytes) -> str:
    """Return the address of a head of zeros that ends in a mark and takes no room on the disk."""
    job = created(api)
    begin(ledger, job)
    path = folder / "local" / job / TOKEN / "head.safetensors"
    path.parent.mkdir(parents=True)
    path.touch()
    os.truncate(path, size)
    with path.open("r+b") as file:
        file.seek(size - len(mark))
        file.write(mark)
    about: dict[str, Any] = {"bytes": size, "sha256": "0" * 64}
    left = manifest(f"local/{job}/{TOKEN}/", files={path.name: about})
    assert ledger.succeed(job, TOKEN, left) == "ok"
    return f"/v1/injections/{job}/head"


def test_a_part_behind_4_gib_should_be_sent_alone(
    api: httpx.Client, ledger: Ledger, open_api: Processes
) -> None:
    size = 5 * GIB
    head = sparse(api, ledger, open_api.store_folder, size, b"the end")

    assert api.head(head).headers["content-length"] == str(size)
    part = api.get(head, headers={"Range": "bytes=-10"})
    assert part.content == b"\0\0\0the end"
    assert part.headers["content-range"] == f"bytes {size - 10}-{size - 1}/{size}"


def test_a_large_download_should_not_be_held_in_memory(
    api: httpx.Client, ledger: Ledger, open_api: Processes
) -> None:
    size = GIB // 2
    head = sparse(api, ledger, open_api.store_folder, size, b"the end")
    server = psutil.Process(open_api.started[0].pid)
    before = server.memory_info().rss
    most = received = 0

    # Its hash is none: what would be the whole file is cut off near its end.
    with contextlib.suppress(httpx.RemoteProtocolError), api.stream("GET", head) as response:
        for chunk in response.iter_raw():
            received += len(chunk)
            most = max(most, server.memory_info().rss - before)

    assert size - 16 * MIB < received < size
    assert most < size // 4


def flip(store_folder: Path, name: str) -> None:
    """Flip a bit of a stored file, in its last byte."""
    [file] = store_folder.rglob(name)
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.unlink()  # another file, as a restore or a faulty disk makes it
    file.write_bytes(content)


@pytest.mark.parametrize("headers", [{}, {"Range": "bytes=0-9"}], ids=["whole", "range"])
def test_a_damaged_file_should_never_be_sent(
    api: httpx.Client, ledger: Ledger, kept: Path, head: str, headers: dict[str, str]
) -> None:
    flip(kept, "head.safetensors")

    for _ in range(2):
        refused = api.get(head, headers=headers)
        document = problem(refused, 409, "artifact_damaged")
        assert "head.safetensors" in document["detail"]

    job = head.split("/")[3]
    listed = api.get(f"/v1/injections/{job}/events/list").json()["data"]
    assert [one["data"]["file"] for one in listed if one["type"] == "damage"] == [
        "head.safetensors"
    ]
    record = ledger.get(job)
    assert record is not None
    assert record.damaged == "head.safetensors"
    assert api.get(head, params={"format": "labels"}).content == b"{}"


def test_a_damaged_large_file_should_never_arrive_whole(
    api: httpx.Client, ledger: Ledger, store: Store, kept: Path
) -> None:
    content = os.urandom(MIB) * 70
    head = f"{finished(api, ledger, store, {'head.safetensors': content})}/head"
    assert api.get(head).content == content
    flip(kept, "head.safetensors")

    received = 0
    with contextlib.suppress(httpx.RemoteProtocolError), api.stream("GET", head) as broken:
        assert broken.status_code == 200
        for chunk in broken.iter_bytes():
            received += len(chunk)
    assert 0 < received < len(content)

    # It is known now: neither the whole nor the part that was missing is sent.
    for headers in ({}, {"Range": f"bytes={received}-"}):
        problem(api.get(head, headers=headers), 409, "artifact_damaged")
