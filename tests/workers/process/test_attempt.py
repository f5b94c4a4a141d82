"""How an attempt tells its errors apart; what it does with processes stands in tests/faults."""

import errno

import pytest
import torch

from headgraft.models.errors import InjectionError
from headgraft.workers.process.attempt import _job_error
from headgraft.workers.store import StoreError


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (InjectionError("no such thing", code="invalid_settings"), "invalid_settings", "no such"),
        (torch.OutOfMemoryError("CUDA out of memory"), "out_of_memory", "CUDA"),
        (MemoryError(), "out_of_memory", "memory"),
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
