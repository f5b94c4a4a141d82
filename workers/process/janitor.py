"""Removes what no record names: artifacts of refused runs, expired jobs, broken uploads.

The files of an expired job go with its record. Of all else it touches nothing younger than a day by
the store's clock, so that a file may lie before the record that names it. Of a store that cannot be
shown to belong to this Redis it deletes nothing.
`python -m headgraft.workers.process.janitor` takes one turn; a worker's parent starts it hourly.
With `--dry-run` it lists what would go, with `--now` it cleans out of turn, and `--adopt` makes the
store this Redis's.
"""

import argparse
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import redis
import structlog

from headgraft.workers import logs, ownership
from headgraft.workers.config import WorkerSettings
from headgraft.workers.environment import read_or_exit
from headgraft.workers.jobs.manifest import folders
from headgraft.workers.jobs.spec import HeadRecord, Record, StoredFeatures, StoredHead
from headgraft.workers.ledger.connections import connect
from headgraft.workers.ledger.ledger import Ledger
from headgraft.workers.ledger.scripts import GROUP, LedgerError
from headgraft.workers.ownership import ForeignStoreError
from headgraft.workers.store import Damaged, Missing, Store, StoreError

AGE_SECONDS = 86_400.0
PERIOD_SECONDS = 3600.0
# The check of the stored files goes on each hour where it stopped the hour before.
SCRUB_SECONDS = 60.0
NICENESS = 10
REMEDY = "nothing was deleted; `headgraft gc --adopt` makes the store this Redis's"

log = structlog.get_logger()


@dataclass(frozen=True)
class Waste:
    """What a janitor found to delete: paths of the store, half-written files, expired jobs."""

    unnamed: list[str]
    partial: list[Path]
    expired: list[tuple[str, str]]


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
            self.scrub()
        except ForeignStoreError as error:
            log.error("nothing_cleaned", reason=str(error), remedy=REMEDY)
            return False
        except (redis.RedisError, LedgerError, StoreError) as error:
            log.warning("cleaning_failed", error=str(error))
            return False
        return True

    def find(self, now: float) -> Waste:
        """Find what is to be deleted, at a time by the store's clock; delete nothing."""
        before = now - self._age_seconds
        older = self._store.older(before)
        return Waste(
            [path for path in older if not ownership.is_named(self._ledger, path)],
            self._store.partial(before),
            list(self._expired()),
        )

    def show(self) -> Iterator[str]:
        """Yield a line for each file that `clean` would delete; its errors are the same."""
        ownership.check(self._ledger, self._store)
        return self._lines(self.find(ownership.store_time(self._ledger, self._store)))

    def _lines(self, waste: Waste) -> Iterator[str]:
        for path in waste.unnamed:
            yield f"{path}: no record names it"
        for file in waste.partial:
            yield f"{file}: half-written"
        for owner, job in waste.expired:
            for folder in folders(owner, job):
                for path in self._store.paths(folder):
                    yield f"{path}: its injection has expired"

    def clean(self) -> list[str]:
        """Remove unnamed objects, half-written uploads, dead index entries and dead consumers.

        Returns a line for each file. ForeignStoreError, and nothing is removed, where the store may
        be another Redis's.
        """
        waste = self.find(ownership.take_turn(self._ledger, self._store))
        # Once more: a Redis that lost its data meanwhile names nothing.
        ownership.check(self._ledger, self._store)
        lines = list(self._lines(waste))
        for path in waste.unnamed:
            self._store.delete(path)
        for file in waste.partial:
            file.unlink(missing_ok=True)
        # A job in a list had a record: unlike a file that no list names, its files need no day.
        for owner, job in waste.expired:
            for folder in folders(owner, job):
                self._store.delete(folder)
            self._ledger.remove(job, owner)
        log.info(
            "cleaned",
            objects=len(waste.unnamed),
            partial=len(waste.partial),
            entries=len(waste.expired),
            consumers=self._forget_consumers(),
        )
        return lines

    def scrub(self, seconds: float = SCRUB_SECONDS) -> int:
        """Compare stored files with their SHA-256 for a time, from where the last check stopped.

        Returns how many were compared; a damaged one is logged, and marked in its job's record.
        """
        deadline, key = time.monotonic() + seconds, self._ledger.key("scrubbed")
        last, count = self._ledger.command("get", key) or "", 0
        paths = sorted(self._store.paths(""))
        for path in [*(one for one in paths if one > last), *(one for one in paths if one <= last)]:
            if time.monotonic() > deadline:
                break
            count += self._scrub(path)
            self._ledger.command("set", key, path)
        log.info("scrubbed", objects=count, of=len(paths))
        return count

    def _scrub(self, path: str) -> bool:
        found = ownership.PATH.fullmatch(path)
        record = self._ledger.get(found["job"] or found["upload"]) if found else None
        wanted = self._sha256(path, record)
        if wanted is None:
            return False
        try:
            self._store.verify(path, wanted)
        except Damaged:
            log.error("artifact_damaged", path=path, job=record.id if record else None)
            if record and record.manifest and path.startswith(record.manifest.prefix):
                self._ledger.note_damage(record.id, path.removeprefix(record.manifest.prefix))
        except Missing:
            return False
        return True

    def _sha256(self, path: str, record: Record | None) -> str | None:
        """Return the hash that a record has of a path; None where none has."""
        if record is None:
            return self._sha256_of_upload(path)
        if path == record.spec:
            return record.spec_sha256
        manifest = record.manifest
        if manifest and path.startswith(manifest.prefix):
            file = manifest.files.get(path.removeprefix(manifest.prefix))
            return file.sha256 if file else None
        return record.summary.head.sha256 if f"/uploads/{record.id}/" in path else None

    def _sha256_of_upload(self, path: str) -> str | None:
        found = ownership.PATH.fullmatch(path)
        if not found or not found["upload"]:
            return None
        for kind, model in (("head", StoredHead), ("feature", StoredFeatures)):
            body = HeadRecord.BODY if kind == "head" else "features"
            text = self._ledger.command("hget", self._ledger.key(kind, found["upload"]), body)
            if text:
                return str(model.model_validate_json(text).sha256)
        return None

    def _expired(self) -> Iterator[tuple[str, str]]:
        """Yield owner and id of the jobs in owners' lists whose records have expired."""
        client, lists = self._ledger.client, self._ledger.key("jobs", "")
        for index in client.scan_iter(f"{lists}*"):
            for job, _ in client.zscan_iter(index):
                if not client.exists(self._ledger.key("job", job)):
                    yield index.removeprefix(lists), job

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
    """Take one turn over the ledger and store of the environment, or do what an option says."""
    parser = argparse.ArgumentParser(prog="python -m headgraft.workers.process.janitor")
    parser.add_argument("--now", action="store_true")
    parser.add_argument("--dry-run", action="store_true")
    parser.add_argument("--adopt", action="store_true")
    options = parser.parse_args()
    settings = read_or_exit(WorkerSettings)
    logs.configure(settings.log_level)
    ledger = Ledger(connect(settings.redis_url.get_secret_value()))
    try:
        store = Store(settings.store_url)
        janitor = Janitor(ledger, store)
        if not (options.now or options.dry_run or options.adopt):
            os.nice(NICENESS)
            janitor.take_turn()
            return 0
        if options.adopt:
            ownership.adopt(ledger, store)
        for line in janitor.show() if options.dry_run else janitor.clean() if options.now else ():
            sys.stdout.write(f"{line}\n")
    except ForeignStoreError as error:
        sys.stderr.write(f"headgraft: {error}; {REMEDY}\n")
        return 1
    except (LedgerError, redis.RedisError, StoreError) as error:
        log.warning("cleaning_failed", error=str(error))
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
