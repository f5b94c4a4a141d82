"""Background threads and asyncio tasks: an unexpected error ends none of them for good."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable

import structlog

from headgraft.workers.jobs.presence import LoopState

PAUSES_SECONDS = (0.5, 1.0, 2.0, 5.0, 15.0)
STEADY_SECONDS = 60.0
ROUND_SECONDS_MAX = 60.0
log = structlog.get_logger("headgraft.background")


class Loop:
    """The work of one thread or task: when it ends by an error, it is begun again after a pause.

    The pause grows while the work ends early. The work calls `note_round` each time it goes round;
    where it has not for `round_seconds_max`, it is stuck.
    """

    def __init__(self, name: str, *, round_seconds_max: float = ROUND_SECONDS_MAX) -> None:
        self.name = name
        self.deaths = 0
        self._round_seconds_max = round_seconds_max
        self._deaths_early = 0
        self._begun = 0.0
        self._round: float | None = None

    def note_round(self) -> None:
        """Note that the work goes on."""
        self._round = time.monotonic()

    @property
    def state(self) -> LoopState:
        """How it is now, for `/readyz`, the metrics and a worker's announcement."""
        if self._round is None:
            return LoopState(deaths=self.deaths, age_seconds=None, is_stuck=False)
        age_seconds = time.monotonic() - self._round
        is_stuck = age_seconds > self._round_seconds_max
        return LoopState(deaths=self.deaths, age_seconds=round(age_seconds, 3), is_stuck=is_stuck)

    def run(self, work: Callable[[], None], stop: threading.Event) -> None:
        """Do the work in this thread until it returns; begin it again after an error."""
        while True:
            self._begin()
            try:
                work()
                break
            except BaseException:  # SystemExit too would end the thread without a word
                if stop.wait(self._note_death()):
                    break
        self._round = None

    async def run_task(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do the work in this task until it returns or is cancelled; after an error again."""
        while True:
            self._begin()
            try:
                await work()
                break
            except asyncio.CancelledError:
                task = asyncio.current_task()
                if task is None or task.cancelling():
                    raise
                pause_seconds = self._note_death()
            except Exception:
                pause_seconds = self._note_death()
            await asyncio.sleep(pause_seconds)
        self._round = None

    def _begin(self) -> None:
        self._begun = time.monotonic()
        self.note_round()

    def _note_death(self) -> float:
        """Count and log the error that is being handled; return the pause in seconds."""
        is_steady = time.monotonic() - self._begun > STEADY_SECONDS
        self._deaths_early = 0 if is_steady else self._deaths_early + 1
        self.deaths += 1
        pause_seconds = PAUSES_SECONDS[min(max(1, self._deaths_early), len(PAUSES_SECONDS)) - 1]
        log.exception(
            "background_died", loop=self.name, deaths=self.deaths, pause_seconds=pause_seconds
        )
        return pause_seconds
