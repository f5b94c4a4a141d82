"""Lets the kernel end child processes when their parent dies."""

import ctypes
import functools
import os
import signal
import sys
import threading
from collections.abc import Callable

PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


def end_with_parent(order: signal.Signals) -> Callable[[], None]:
    """Return a preexec_fn by which the kernel sends `order` to a child when this process dies.

    Linux only, elsewhere it does nothing. The kernel means the thread that starts the child, so
    only the main thread may: any other could end long before the process.
    """
    assert threading.current_thread() is threading.main_thread(), (
        "start children in the main thread"
    )
    return functools.partial(die_with_parent, os.getpid(), order)


def die_with_parent(parent: int, order: signal.Signals = signal.SIGKILL) -> None:
    """Have this process sent `order` when the thread of `parent` that started it ends."""
    if _LIBC is None:
        return
    _LIBC.prctl(PR_SET_PDEATHSIG, order)
    # The parent may have died between fork and prctl; then no signal would ever come.
    if os.getppid() != parent:
        os._exit(1)
