"""What a method calls at every step; it does not know who listens or who stops it."""

import threading
from collections.abc import Callable

Report = Callable[[float, str, float | None], None]


def within(report: Report, start: float, end: float) -> Report:
    """Report a stage's own fractions as those of the whole, which it takes from start to end."""
    return lambda fraction, stage, loss: report(start + (end - start) * fraction, stage, loss)


class Stopped(Exception):
    """An order obeyed, not an error: nothing the stopped method computed is to be used."""


def ignore(_fraction: float, _stage: str, _loss: float | None) -> None:
    """Report to nobody."""


class Progress:
    """Carries progress out of a method and the order to stop into it."""

    def __init__(self, report: Report = ignore, should_stop: threading.Event | None = None) -> None:
        self._report = report
        self._should_stop = should_stop or threading.Event()

    def __call__(self, fraction: float, stage: str, loss: float | None = None) -> None:
        """Report a fraction in [0, 1] with stage and loss; raises Stopped when told to stop."""
        self.check()
        self._report(fraction, stage, loss)

    def check(self) -> None:
        """Raise Stopped when told to stop; for whoever waits and has nothing to report."""
        if self._should_stop.is_set():
            raise Stopped
