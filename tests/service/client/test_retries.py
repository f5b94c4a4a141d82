"""What a client repeats: by the rule alone, and before the real API with a meddler in between."""

import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import httpx
import pytest

from headgraft import Headgraft, HeadgraftError
from headgraft.retries import Retries, retry_after
from headgraft.workers.store import Store
from tests.ledger import Ledger
from tests.processes import Processes
from tests.service import files
from tests.service.injections.finished import finished
from tests.service.meddler import Cut, Meddler, Say
from tests.service.web.created_keys import key


def reply(status: int, after: str | None = None) -> httpx.Response:
    return httpx.Response(status, headers={"Retry-After": after} if after else {})


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_what_may_pass_should_be_asked_again_after_what_it_says(status: int) -> None:
    assert Retries(1).pause("GET", reply(status, "3"), 1) == 3
    assert Retries(1).pause("POST", reply(status, "3"), 1) == 3
    assert Retries(1).pause("GET", reply(status, "3"), 2) is None
    assert Retries(0).pause("GET", reply(status, "3"), 1) is None


@pytest.mark.parametrize("status", [400, 401, 403, 404, 412, 413, 415, 416, 422, 507])
def test_a_refusal_should_be_final(status: int) -> None:
    assert Retries(4).pause("POST", reply(status, "1"), 1) is None


def test_a_conflict_should_be_asked_again_where_the_first_is_still_being_answered() -> None:
    assert Retries(4).pause("POST", reply(409, "1"), 1) == 1
    assert Retries(4).pause("POST", reply(409), 1) is None
    assert Retries(4).pause("GET", reply(409, "1"), 1) is None


def test_pauses_should_double_where_nobody_says_how_long() -> None:
    pauses = [Retries(9).pause("GET", reply(503), tries) or 0 for tries in range(1, 10)]

    for pause, longest in zip(pauses, [0.5, 1, 2, 4, 8, 8, 8, 8, 8], strict=True):
        assert longest / 2 <= pause <= longest


def test_nobody_listening_should_be_told_at_once_and_a_broken_line_not() -> None:
    assert Retries(4).pause("POST", httpx.ConnectError("refused"), 1) is None
    assert Retries(4).pause("POST", httpx.ReadError("broken"), 1) is not None


def test_who_is_to_wait_too_long_should_hear_so() -> None:
    assert Retries(4).pause("GET", reply(429, "60"), 1) == 60
    assert Retries(4).pause("GET", reply(429, "61"), 1) is None


def test_retry_after_should_be_read_as_seconds_or_a_date() -> None:
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)

    assert 28 <= (retry_after(reply(503, soon)) or 0) <= 30
    assert retry_after(reply(503, "Sun, 06 Nov 1994 08:49:37 GMT")) == 0
    assert [retry_after(reply(503, said)) for said in ("", "soon", "-1", "1.5")] == [None] * 4


@pytest.fixture
def meddler(open_api: Processes, ledger: Ledger) -> Iterator[Meddler]:
    """Return what stands before the API without keys, over an empty ledger."""
    with Meddler(open_api.port) as meddler:
        yield meddler


@pytest.fixture
def client(meddler: Meddler) -> Iterator[Headgraft]:
    """Return a client that knows the meddler only."""
    with Headgraft(meddler.url) as client:
        yield client


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    path = tmp_path / "net.safetensors"
    path.write_bytes(files.checkpoint())
    return path


def test_an_answer_that_is_late_should_be_waited_for(client: Headgraft, meddler: Meddler) -> None:
    meddler.plans += [Say(429, {"Retry-After": "1"}), Say(503)]
    start = time.monotonic()

    assert "ridge" in [one.name for one in client.methods()]

    assert time.monotonic() - start > 1
    assert len(meddler.asked) == 3


def test_a_wait_should_be_told(
    client: Headgraft, meddler: Meddler, caplog: pytest.LogCaptureFixture
) -> None:
    meddler.plans += [Say(429, {"Retry-After": "2"}), Say(503, {"Retry-After": "0"})]

    client.methods()

    (line,) = caplog.messages
    assert "429" in line
    assert line.endswith("asking again in 2 s (1 of 4 times)")


def test_the_command_line_should_tell_a_wait(meddler: Meddler) -> None:
    meddler.plans += [Say(429, {"Retry-After": "1"})]
    command = [sys.executable, "-m", "headgraft", "methods", "--url", meddler.url]

    done = subprocess.run(command, capture_output=True, text=True, timeout=60)

    assert done.returncode == 0
    assert "asking again in 1 s (1 of 4 times)" in done.stderr


def test_a_service_that_is_away_should_be_told_while_it_is_waited_for(
    meddler: Meddler, head: str, caplog: pytest.LogCaptureFixture
) -> None:
    meddler.plans += [Say(503, {"Retry-After": "0"})] * 3
    with Headgraft(meddler.url, retries=0) as client:
        assert client.wait(head).status == "succeeded"

    (line,) = caplog.messages
    assert line.endswith("waiting for it for 60 s")


@pytest.mark.parametrize("status", [403, 507])
def test_a_limit_that_waiting_does_not_lift_should_be_heard_at_once(
    client: Headgraft, meddler: Meddler, status: int
) -> None:
    meddler.plans += [Say(status, {"Retry-After": "1"})]

    with pytest.raises(HeadgraftError) as caught:
        client.methods()

    assert caught.value.status == status
    assert len(meddler.asked) == 1


def test_a_full_key_should_be_heard_at_once_with_what_to_do(
    meddler: Meddler, ledger: Ledger, checkpoint: Path
) -> None:
    held = checkpoint.stat().st_size
    text = key(ledger, stored_bytes=2 * held - 1)
    with Headgraft(meddler.url, text) as client:
        client.upload_head(checkpoint, class_names=files.class_names())

        with pytest.raises(HeadgraftError, match="delete") as caught:
            client.upload_head(checkpoint, class_names=files.class_names())

    assert (caught.value.status, caught.value.code) == (403, "stored_bytes_exceeded")
    assert f"{held} are used" in caught.value.detail
    assert len(meddler.asked) == 2


def test_an_upload_whose_answer_is_lost_should_be_sent_again_under_its_key(
    client: Headgraft, meddler: Meddler, checkpoint: Path
) -> None:
    sent: list[tuple[int, int]] = []
    meddler.plans += [Cut(0), Say(409, {"Retry-After": "0"})]

    queued = client.submit(
        checkpoint, on_upload=lambda *pair: sent.append(pair), **files.injection()
    )

    assert queued.status == "queued"
    assert sent.count((checkpoint.stat().st_size,) * 2) >= 3
    keys = [one.headers["idempotency-key"] for one in meddler.asked]
    assert len(keys) == 3
    assert len(set(keys)) == 1
    client.cancel(queued.id)
    assert meddler.asked[-1].headers["idempotency-key"] not in keys


def test_an_upload_whose_answer_is_lost_should_make_one_injection(
    client: Headgraft, meddler: Meddler, checkpoint: Path
) -> None:
    meddler.plans += [Cut(0)]

    queued = client.submit(checkpoint, **files.injection())

    assert len(meddler.asked) == 2
    assert [one.id for one in client.injections()] == [queued.id]


def test_a_deletion_whose_answer_is_lost_should_be_done(
    client: Headgraft, meddler: Meddler, checkpoint: Path
) -> None:
    head = client.upload_head(checkpoint, class_names=files.class_names())
    assert client.head(head.id) == client.heads()[0] == head
    meddler.plans += [Cut(0)]

    client.delete_head(head.id)

    assert client.heads() == []
    with pytest.raises(HeadgraftError, match="there is no head"):
        client.delete_head(head.id)


def test_who_is_refused_for_good_should_not_be_asked_again(
    client: Headgraft, meddler: Meddler
) -> None:
    with pytest.raises(HeadgraftError) as caught:
        client.injection("inj_nobodys")

    assert (caught.value.status, caught.value.code) == (404, "not_found")
    assert len(meddler.asked) == 1


def test_patience_should_end(meddler: Meddler) -> None:
    meddler.plans += [Say(503, {"Retry-After": "0"})] * 5
    with Headgraft(meddler.url, retries=2) as client, pytest.raises(HeadgraftError) as caught:
        client.methods()

    assert caught.value.status == 503
    assert len(meddler.asked) == 3


def test_a_line_that_keeps_breaking_should_be_told(meddler: Meddler) -> None:
    meddler.plans += [Cut(0)] * 2
    with Headgraft(meddler.url, retries=1) as client, pytest.raises(HeadgraftError) as caught:
        client.methods()

    assert (caught.value.status, caught.value.code) == (None, "unreachable")


CONTENT = bytes(range(256)) * 2000


@pytest.fixture
def head(api: httpx.Client, ledger: Ledger, open_api: Processes) -> str:
    """Return the id of an injection whose head is to be downloaded."""
    store = Store(f"file://{open_api.store_folder}")
    return finished(api, ledger, store, {"head.safetensors": CONTENT}).split("/")[-1]


def test_a_download_should_go_on_where_it_broke_off(
    client: Headgraft, meddler: Meddler, head: str, tmp_path: Path
) -> None:
    # The injection is read first; then the line breaks in the file, before it, and in it again.
    meddler.plans += [Cut(10**6), Cut(100_000), Say(503, {"Retry-After": "0"}), Cut(200_000)]

    saved = client.download(head, tmp_path / "out.safetensors")

    assert saved.read_bytes() == CONTENT
    assert [path.name for path in tmp_path.iterdir()] == ["out.safetensors"]
    ranges = [one.headers.get("range") for one in meddler.asked[1:]]
    assert ranges[0] is None
    starts = [int((one or "").removeprefix("bytes=").rstrip("-")) for one in ranges[1:]]
    assert starts[0] == starts[1] > 0
    assert starts[1] < starts[2]
    assert {one.headers.get("if-range") for one in meddler.asked[2:]} != {None}


def test_a_download_that_never_gets_on_should_leave_nothing(
    meddler: Meddler, head: str, tmp_path: Path
) -> None:
    meddler.plans += [Cut(10**6), Cut(0), Cut(0)]
    with Headgraft(meddler.url, retries=1) as client, pytest.raises(HeadgraftError) as caught:
        client.download(head, tmp_path / "out.safetensors")

    assert caught.value.code == "unreachable"
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_comes_whole_again_should_be_begun_anew(
    client: Headgraft, meddler: Meddler, head: str, tmp_path: Path
) -> None:
    # A server that ignores the range, as one may, answers with the whole file.
    meddler.plans += [Cut(10**6), Cut(100_000)]
    meddler.drop |= {"range"}

    assert client.download(head, tmp_path / "out.safetensors").read_bytes() == CONTENT
