"""Removes what no record names: artifacts of refused runs, expired jobs, broken uploads.

The files of an expired job go with its record. Of all else it touches nothing younger than a day,
so that a file may lie before the record that names it.
`python -m headgraft.workers.process.janitor` takes one turn; a worker's parent starts it hourly.
"""

import re
import time

import redis
import structlog

from headgraft.workers import logs
from headgraft.workers.config import WorkerSettings
from headgraft.workers.environment import read_or_exit
from headgraft.workers.jobs.manifest import folders
from headgraft.workers.ledger.ledger import Ledger
from headgraft.workers.ledger.scripts import GROUP, LedgerError, connect
from headgraft.workers.store import Store, StoreError

AGE_SECONDS = 86_400.0
PERIOD_SECONDS = 3600.0
# An owner, then a job and what lies under it, or an upload named after its job or record.
PATH = re.compile(r"[^/]+/(?:(?P<job>inj_\w+)/(?P<rest>.+)|uploads/(?P<upload>\w+)/.+)")
UPLOADED = ("job", "head", "feature")

log = structlog.get_logger()


class Janitor:
    """Cleans one store and one ledger; of several janitors one works per period."""

    def __init__(self, ledger: Ledger, store: Store, *, age_seconds: float = AGE_SECONDS) -> None:
        self._ledger = ledger
        self._store = store
        self._age_seconds = age_seconds

    def take_turn(self) -> bool:
        """Clean, unless some janitor did within the period; False then, or if Redis is away."""
        try:
            lock = self._ledger.key("janitor")
            if not self._ledger.client.set(lock, "1", nx=True, ex=int(PERIOD_SECONDS)):
                return False
            self.clean()
        except (redis.RedisError, LedgerError, StoreError) as error:
            log.warning("cleaning_failed", error=str(error))
            return False
        return True

    def clean(self) -> None:
        """Remove unnamed objects, half-written uploads, dead index entries and dead consumers."""
        before = time.time() - self._age_seconds
        removed = [path for path in self._store.older(before) if not self._is_named(path)]
        for path in removed:
            self._store.delete(path)
        partial = self._store.delete_partial(before)
        entries = self._forget_expired()
        consumers = self._forget_consumers()
        log.info(
            "cleaned",
            objects=len(removed),
            partial=partial,
            entries=entries,
            consumers=consumers,
        )

    def _is_named(self, path: str) -> bool:
        found = PATH.fullmatch(path)
        if not found:
            return True  # not ours to judge
        if found["upload"]:
            return any(self._exists(kind, found["upload"]) for kind in UPLOADED)
        record = self._ledger.get(found["job"])
        if record is None:
            return False
        kept = [record.token] if record.token else []
        if record.manifest:
            kept.append(record.manifest.prefix.rstrip("/").rpartition("/")[2])
        return path == record.spec or found["rest"].split("/")[0] in kept

    def _exists(self, kind: str, name: str) -> bool:
        return bool(self._ledger.client.exists(self._ledger.key(kind, name)))

    def _forget_expired(self) -> int:
        """Delete the files of jobs whose records expired, and take them out of their owners' lists.

        A job in a list had a record: unlike a file that no list names, its files need no day.
        """
        client, count = self._ledger.client, 0
        lists = self._ledger.key("jobs", "")
        for index in client.scan_iter(f"{lists}*"):
            for job, _ in client.zscan_iter(index):
                if not self._exists("job", job):
                    owner = index.removeprefix(lists)
                    for folder in folders(owner, job):
                        self._store.delete(folder)
                    self._ledger.remove(job, owner)
                    count += 1
        return count

    def _forget_consumers(self) -> int:
        """Drop consumers that are long silent and have nothing pending."""
        client, queue, count = self._ledger.client, self._ledger.key("queue"), 0
        if not client.exists(queue):
            return 0
        for consumer in client.xinfo_consumers(queue, GROUP):
            if consumer["pending"] == 0 and consumer["idle"] > self._age_seconds * 1000:
                client.xgroup_delconsumer(queue, GROUP, consumer["name"])
                count += 1
        return count


def main() -> int:
    """Take one turn over the ledger and store of the environment."""
    settings = read_or_exit(WorkerSettings)
    logs.configure(settings.log_level)
    try:
        store = Store(settings.store_url)
    except StoreError as error:
        log.warning("cleaning_failed", error=str(error))
        return 1
    Janitor(Ledger(connect(settings.redis_url.get_secret_value())), store).take_turn()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
