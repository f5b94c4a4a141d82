"""Exit code 0 while every device of this host's worker has a child whose threads all go round.

A line tells of each child that is missing, each thread that is stuck, and each that has died.
"""

import socket
import sys

from headgraft.workers.config import WorkerSettings
from headgraft.workers.environment import read_or_exit
from headgraft.workers.ledger.connections import connect
from headgraft.workers.ledger.ledger import Ledger
from headgraft.workers.ledger.scripts import LedgerError
from headgraft.workers.process.parent import devices


def examine(settings: WorkerSettings) -> tuple[list[str], list[str]]:
    """Return what is wrong with this host's children, and what was; LedgerError without Redis."""
    ledger = Ledger(connect(settings.redis_url.get_secret_value(), retries=0))
    # A child's name begins with its host's, which in a container is the container's own.
    ours = [one for one in ledger.workers() if one.name.startswith(f"{socket.gethostname()}-")]
    missing = len(devices(settings.devices)) - len(ours)
    wrong = [f"{missing} of this host's children do not announce themselves"] * (missing > 0)
    past = []
    for child in ours:
        if child.replaced:
            past.append(f"{child.name} has replaced {child.replaced} children that ended")
        for name, loop in child.loops.items():
            if loop.is_stuck:
                wrong.append(f"{child.name}: thread {name} is stuck for {loop.age_seconds:.0f} s")
            if loop.deaths:
                past.append(f"{child.name}: thread {name} died {loop.deaths} times by an error")
    return wrong, past


def main() -> int:
    """Ask once; 1 when a child is missing, a thread is stuck or Redis does not answer."""
    try:
        wrong, past = examine(read_or_exit(WorkerSettings))
    except LedgerError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    for line in (*wrong, *past):
        sys.stderr.write(f"{line}\n")
    return int(bool(wrong))


if __name__ == "__main__":
    raise SystemExit(main())
