"""Exit code 0 while every device of this host's worker has a child that announces itself."""

import socket
import sys

from headgraft.workers.config import WorkerSettings
from headgraft.workers.environment import read_or_exit
from headgraft.workers.ledger.ledger import Ledger
from headgraft.workers.ledger.scripts import LedgerError, connect
from headgraft.workers.process.parent import devices


def missing(settings: WorkerSettings) -> int:
    """Return how many of this host's children are not in the ledger; LedgerError without it."""
    ledger = Ledger(connect(settings.redis_url.get_secret_value(), retries=0))
    # A child's name begins with its host's, which in a container is the container's own.
    ours = [one for one in ledger.workers() if one.name.startswith(f"{socket.gethostname()}-")]
    return max(0, len(devices(settings.devices)) - len(ours))


def main() -> int:
    """Ask once; 1 when a child is missing or Redis does not answer."""
    try:
        count = missing(read_or_exit(WorkerSettings))
    except LedgerError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    if count:
        sys.stderr.write(f"{count} of this host's children do not announce themselves\n")
    return int(count > 0)


if __name__ == "__main__":
    raise SystemExit(main())
