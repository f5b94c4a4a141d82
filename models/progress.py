"""What a computation calls at every step: its progress goes out, the order to stop comes in."""

import threading
from collections.abc import Callable

# A fraction in [0, 1], the name of the stage, and the loss where it was read; may raise Stopped.
Report = Callable[[float, str, float | None], None]


def within(report: Report, start: float, end: float, stage: str | None = None) -> Report:
    """Report a part's own fractions as those of the whole, which it takes from start to end.

    With `stage`, under that name instead of the part's own.
    """
    return lambda fraction, own_stage, loss: report(
        start + (end - start) * fraction, stage or own_stage, loss
    )


class Stopped(Exception):
    """Raised when the job is cancelled; partial results must be discarded."""


def ignore(_fraction: float, _stage: str, _loss: float | None) -> None:
    """Discard the report."""


class Progress:
    """Carries progress out of a method and the order to stop into it."""

    def __init__(self, report: Report = ignore, should_stop: threading.Event | None = None) -> None:
        self._report = report
        self._should_stop = should_stop or threading.Event()

    def __call__(self, fraction: float, stage: str, loss: float | None = None) -> None:
        """Report a fraction in [0, 1] with stage and loss; raises Stopped once stopped."""
        self.check()
        self._report(fraction, stage, loss)

    def check(self) -> None:
        """Raise Stopped once stopped; for a wait without progress to report."""
        if self._should_stop.is_set():
            raise Stopped
