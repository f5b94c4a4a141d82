"""Spoilt checkpoints over HTTP: each is refused for its defect, or a sound job.

The gate sends the same few hundred each time, `make soak` ten thousand random ones.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from safetensors import deserialize

from tests.faults.mutations import checkpoints
from tests.ledger import Ledger
from tests.processes import Processes
from tests.sending import CONTENT_TYPE, ENDING, answer, connected, part, post_head
from tests.service.files import injection, stored

CODES = {"invalid_checkpoint", "invalid_request", "too_large"}
REQUESTS = [
    part("request", json.dumps(asked).encode())
    for asked in (injection(), injection(class_names=None))
]


class Fuzzed:
    """A running API, and what it answered."""

    def __init__(self, processes: Processes) -> None:
        self.processes = processes
        self.api = processes.start_api()
        self.accepted: set[str] = set()
        self.reasons: Counter[str] = Counter()

    def post(self, file: bytes, request: bytes, *, file_first: bool) -> tuple[int, dict[str, Any]]:
        """Submit a checkpoint; return status and document."""
        uploaded = part("checkpoint", file)
        body = b"".join((uploaded, request) if file_first else (request, uploaded)) + ENDING
        lines = (f"Content-Type: {CONTENT_TYPE}", f"Content-Length: {len(body)}")
        with connected(self.processes.port) as connection:
            # A long body that is refused is not read to its end: the rest cannot be sent, and
            # the answer has come.
            with suppress(ConnectionError):
                connection.sendall(post_head(*lines) + body)
            response, content = answer(connection)
        return response.status, json.loads(content)

    def judge(self, status: int, document: dict[str, Any], file: bytes) -> None:
        """Hold an answer against what every answer must be."""
        if status == 202:
            self.accepted.add(document["id"])
            # What reads it next must agree, or a worker would have been troubled for nothing.
            deserialize(file)  # type: ignore[no-untyped-call]  # safetensors leaves it untyped
            return
        assert 400 <= status < 500, document
        assert document["code"] in CODES
        assert document["status"] == status
        assert document["detail"]
        self.reasons[re.sub(r"'[^']*'|\"[^\"]*\"|\[.*?\]|\d+", "_", document["detail"])[:60]] += 1


@pytest.fixture
def fuzzed(redis_url: str, ledger: Ledger, tmp_path: Path) -> Iterator[Fuzzed]:
    """Return a server of its own; no worker runs."""
    processes = Processes(tmp_path, redis_url)
    try:
        yield Fuzzed(processes)
    finally:
        processes.stop()


@pytest.mark.timeout(1200)
@pytest.mark.parametrize(
    ("examples", "derandomize"),
    [
        pytest.param(500, True, id="500 examples"),
        pytest.param(10_000, False, id="10,000 random examples", marks=pytest.mark.soak),
    ],
)
def test_a_spoilt_checkpoint_should_be_refused_or_run_and_never_break_the_service(
    fuzzed: Fuzzed, ledger: Ledger, examples: int, derandomize: bool
) -> None:
    @settings(
        max_examples=examples,
        derandomize=derandomize,
        # Prints how to repeat a random example that failed.
        print_blob=True,
        database=None,
        deadline=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(checkpoints(), st.sampled_from(REQUESTS), st.booleans())
    def spoil(file: bytes, request: bytes, file_first: bool) -> None:
        fuzzed.judge(*fuzzed.post(file, request, file_first=file_first), file)

    spoil()

    print(f"{len(fuzzed.accepted)} accepted, {fuzzed.reasons.total()} refused,", end=" ")
    print(f"for {len(fuzzed.reasons)} reasons")
    assert fuzzed.api.poll() is None
    assert "Traceback" not in fuzzed.processes.log("headgraft.service.server").read_text()
    messages: Any = ledger.client.xrange(ledger.key("queue"))
    queued = {message["job"] for _, message in messages}
    assert queued == fuzzed.accepted
    kept = {
        path.relative_to(fuzzed.processes.store_folder)
        for path in stored(fuzzed.processes.store_folder)
    }
    assert kept == {
        Path("local", *place)
        for job in fuzzed.accepted
        for place in ((job, "request.json"), ("uploads", job, "checkpoint.safetensors"))
    }
    # Changes that only ever broke the JSON would prove little.
    assert len(fuzzed.accepted) > examples / 100
    assert len(fuzzed.reasons) > 25
