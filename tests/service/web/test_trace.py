"""Trace context: taken over where it is one, and carried into the log lines of all processes."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from headgraft.service.web import trace
from tests.ledger import Ledger
from tests.processes import Processes, eventually
from tests.service.files import injection, submit

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def test_a_valid_parent_should_be_gone_on_from() -> None:
    span = trace.enter([f"00-{TRACE}-{PARENT}-01"])

    assert (span.trace_id, span.flags) == (TRACE, "01")
    assert span.span_id != PARENT
    assert span.traceparent == f"00-{TRACE}-{span.span_id}-01"


def test_a_later_version_should_be_read_as_far_as_it_is_known() -> None:
    assert trace.enter([f"cc-{TRACE}-{PARENT}-03-more"]).trace_id == TRACE


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [""],
        ["no trace"],
        [f"ff-{TRACE}-{PARENT}-01"],
        [f"00-{TRACE}-{PARENT}-01-more"],
        [f"00-{'0' * 32}-{PARENT}-01"],
        [f"00-{TRACE}-{'0' * 16}-01"],
        [f"00-{TRACE.upper()}-{PARENT}-01"],
        [f"00-{TRACE}-{PARENT}-01"] * 2,
    ],
)
def test_what_is_no_parent_should_begin_a_trace_of_our_own(headers: list[str]) -> None:
    span = trace.enter(headers)

    assert span.trace_id != TRACE
    assert len(span.trace_id) == 32
    assert len(span.span_id) == 16


@pytest.fixture
def worked(
    redis_url: str, ledger: Ledger, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Processes]:
    """Return an API with a worker, over an empty ledger."""
    processes = Processes(tmp_path_factory.mktemp("traced"), redis_url)
    try:
        processes.start_api()
        processes.start_worker()
        yield processes
    finally:
        processes.stop()


def lines(processes: Processes, module: str) -> list[dict[str, Any]]:
    """Return what a module's processes have logged of the trace."""
    told = processes.log(module).read_text().splitlines()
    found = [json.loads(line) for line in told if line.startswith("{")]
    return [line for line in found if line.get("trace_id") == TRACE]


def test_a_trace_should_reach_the_log_lines_of_api_and_worker(worked: Processes) -> None:
    headers = {"traceparent": f"00-{TRACE}-{PARENT}-01", "X-Request-Id": "the-traced-request"}
    with httpx.Client(base_url=worked.url, timeout=30, headers=headers) as client:
        queued = submit(client, injection(class_embeddings={"encoder": "nobodys"})).json()

    def is_over() -> bool:
        return "job_ended" in [
            line["event"] for line in lines(worked, "headgraft.workers.process.parent")
        ]

    eventually(is_over, 60, "the worker logs the job's end")
    [asked] = lines(worked, "headgraft.service.server")
    for line in lines(worked, "headgraft.workers.process.parent"):
        assert line["job"] == queued["id"]
        assert line["request_id"] == asked["request_id"] == "the-traced-request"
        assert line["parent_id"] == asked["span_id"]
