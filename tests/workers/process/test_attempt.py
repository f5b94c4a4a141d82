"""How an attempt tells its errors apart; what it does with processes stands in tests/faults."""

import errno
from unittest import mock

import pytest
import torch

from headgraft.models.errors import InjectionError
from headgraft.workers.jobs.manifest import Manifest
from headgraft.workers.jobs.spec import Record
from headgraft.workers.process.attempt import Attempt, WorkerContext, _job_error
from headgraft.workers.store import Damaged, StoreError
from tests.documents import summary

RECORD = Record(
    id="inj_1",
    owner="ada",
    status="running",
    attempt=1,
    timeout_seconds=1,
    spec="spec",
    summary=summary(),
    created_at=0,
)


def test_a_run_that_raises_what_ends_a_thread_should_leave_an_error() -> None:
    class Exits(Attempt):
        def _produce(self) -> Manifest:
            raise SystemExit(3)

    attempt = Exits(mock.create_autospec(WorkerContext), RECORD, "t1")
    attempt._work()
    assert attempt.outcome.error is not None
    assert attempt.outcome.error.code == "internal_error"


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (InjectionError("no such thing", code="invalid_settings"), "invalid_settings", "no such"),
        (torch.OutOfMemoryError("CUDA out of memory"), "out_of_memory", "CUDA"),
        (MemoryError(), "out_of_memory", "memory"),
        (Damaged("a/b/head.pt"), "artifact_damaged", "head.pt"),
        (StoreError("No space left on device"), "store_error", "No space left"),
        (OSError(errno.ENOSPC, "No space left on device"), "scratch_full", "scratch disk"),
        (OSError(errno.EIO, "a secret path"), "internal_error", "job inj_1"),
        (KeyError("a secret"), "internal_error", "job inj_1"),
    ],
)
def test_an_error_should_get_its_code_and_ours_no_detail(
    error: Exception, code: str, said: str
) -> None:
    told = _job_error(error, "inj_1")
    assert told.code == code
    assert said in told.message
    assert "secret" not in told.message
