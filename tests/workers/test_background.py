"""Background loops: an error that nobody expected costs a pause, and is counted."""

import asyncio
import threading

import pytest

from headgraft.workers import background
from headgraft.workers.background import Loop
from tests.processes import eventually


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "PAUSES_SECONDS", (0.01,))


class Work:
    """Raises these errors, one at each call, and then goes on until stopped."""

    def __init__(self, *errors: BaseException) -> None:
        self.errors = list(errors)
        self.goes_on = threading.Event()
        self.stop = threading.Event()

    def __call__(self) -> None:
        if self.errors:
            raise self.errors.pop(0)
        self.goes_on.set()
        self.stop.wait()

    async def as_task(self) -> None:
        if self.errors:
            raise self.errors.pop(0)
        self.goes_on.set()
        await asyncio.Event().wait()


def test_a_thread_should_outlive_any_error() -> None:
    loop, work = Loop("one"), Work(KeyError("x"), SystemExit(3), RuntimeError())
    thread = threading.Thread(target=loop.run, args=(work, work.stop))
    thread.start()
    assert work.goes_on.wait(60)
    assert (loop.state.deaths, loop.state.is_stuck) == (3, False)
    work.stop.set()
    thread.join(60)
    assert not thread.is_alive()
    assert loop.state.age_seconds is None


def test_a_thread_that_is_told_to_stop_should_not_begin_again() -> None:
    loop, work = Loop("one"), Work(KeyError("x"))
    work.stop.set()
    loop.run(work, work.stop)
    assert loop.deaths == 1
    assert not work.goes_on.is_set()


def test_a_task_should_outlive_any_error_and_end_when_cancelled() -> None:
    async def run() -> Loop:
        # Nobody cancelled the task: a library let the exception out.
        loop, work = Loop("one"), Work(KeyError("x"), asyncio.CancelledError(), RuntimeError())
        task = asyncio.create_task(loop.run_task(work.as_task))
        while not work.goes_on.is_set():
            await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        return loop

    assert asyncio.run(run()).deaths == 3


def test_a_loop_that_no_longer_goes_round_should_be_stuck() -> None:
    loop, work = Loop("one", round_seconds_max=0.05), Work()
    thread = threading.Thread(target=loop.run, args=(work, work.stop))
    thread.start()
    eventually(lambda: loop.state.is_stuck, 60, "it is stuck")
    loop.note_round()
    work.stop.set()
    thread.join(60)
    assert not loop.state.is_stuck


def test_pauses_should_grow_while_the_work_ends_early(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses = list[float]()

    class Stop(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            pauses.append(timeout or 0.0)
            return len(pauses) == 4

    monkeypatch.setattr(background, "PAUSES_SECONDS", (1.0, 2.0, 5.0))
    Loop("one").run(Work(*[KeyError(number) for number in range(4)]), Stop())
    assert pauses == [1.0, 2.0, 5.0, 5.0]
