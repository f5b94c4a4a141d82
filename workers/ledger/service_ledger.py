"""The service's side of the ledger: it creates, reads, cancels and deletes jobs."""

import json
from collections.abc import AsyncGenerator, Collection, Mapping
from typing import Any, Literal

from headgraft.workers import faults
from headgraft.workers.jobs.events import EVENT_DATA, Event
from headgraft.workers.jobs.presence import Presence
from headgraft.workers.jobs.spec import Record
from headgraft.workers.ledger.ledger import NoteDamage, delete_job, read_presences, read_record
from headgraft.workers.ledger.quota import UNLIMITED, UNRESERVED, Quota, Reservation
from headgraft.workers.ledger.scripts import (
    AsyncRedisScripts,
    Command,
    JobKeys,
    Key,
    Script,
    ledger_errors,
)

PAGE = 100
# A worker ends its own job in this time after the deadline, its thread's last steps included.
PATIENCE_SECONDS = 30.0

Created = Literal["created", "exists", "taken"]


class Create(Script[str], name="create"):
    """Create a job's record and queue it; with a manifest, it has succeeded at once."""

    keys: JobKeys
    deadlines: Key
    index: Key
    live: Key
    stored: Key
    id: str
    deadline_seconds: int | None
    bytes: int
    manifest: str | None
    quota: Quota
    reservation: Reservation
    fields: Mapping[str, str]


class Cancel(Script[str], name="cancel"):
    """End a job at once."""

    keys: JobKeys
    reservation: Reservation


class Expire(Script[str], name="expire"):
    """End a job whose deadline has passed."""

    keys: JobKeys
    deadlines: Key
    id: str
    patience_ms: int


class ServiceLedger(AsyncRedisScripts):
    """What the service does to jobs, each transition one script and safe to repeat."""

    async def create(
        self,
        job: Record,
        *,
        result: Key | None = None,
        deadline_seconds: int | None = None,
        bytes_stored: int = 0,
        quota: Quota = UNLIMITED,
        reservation: Reservation = UNRESERVED,
    ) -> Created:
        """Create the record and queue the job in one step; a repeat of the id does nothing.

        `result` is the key under which an identical request finds the job's result.
        `deadline_seconds` count from now. `bytes_stored` lie in the store for the job; QuotaError
        where the owner has too much already. A job with a manifest has succeeded at once. `taken`:
        the reservation is another's.
        """
        # The script sets the time.
        document = job.model_dump(mode="json", exclude={"created_at", "manifest"})
        fields = {
            name: value if isinstance(value, str) else json.dumps(value)
            for name, value in {**document, "result": result, "uses": _uses(job)}.items()
            if value is not None
        }
        script = Create(
            keys=self.of_job(job.id),
            deadlines=self.key("deadlines"),
            index=self.key("jobs", job.owner),
            live=self.key("live", job.owner),
            stored=self.key("stored", job.owner),
            id=job.id,
            deadline_seconds=deadline_seconds,
            bytes=bytes_stored,
            manifest=job.manifest.model_dump_json() if job.manifest else None,
            quota=quota,
            reservation=reservation,
            fields=fields,
        )
        faults.point("before_create")
        answer = await self.run(script)
        quota.check(answer, bytes_stored)
        faults.point("after_create")
        return answer  # type: ignore[return-value]  # the other answers are QuotaErrors

    async def cancel(self, job: str, reservation: Reservation = UNRESERVED) -> str:
        """End a job at once: `ok`, `missing`, `taken`, or the terminal status it already has."""
        return await self.run(Cancel(self.of_job(job), reservation))

    async def note_damage(self, job: str, file: str) -> None:
        """Mark a file of a result as damaged; an event tells of it, once."""
        await self.run(NoteDamage(self.of_job(job), file))

    async def remove(self, job: str, owner: str) -> bool:
        """Delete an ended job and its events at once; False when its record had expired."""
        return await self.run(delete_job(self, job, owner)) == "removed"

    async def expire_late(self, patience_seconds: float = PATIENCE_SECONDS) -> None:
        """End the jobs that are past their deadline by Redis's clock.

        One that runs is left to its worker for `patience_seconds`.
        """
        deadlines = self.key("deadlines")
        seconds, _ = await self.command("time")
        next_ms = (seconds + 1) * 1000
        for job in await self.command("zrangebyscore", deadlines, "-inf", next_ms, 0, PAGE):
            keys, patience_ms = self.of_job(job), int(patience_seconds * 1000)
            await self.run(Expire(keys, deadlines, job, patience_ms))

    async def get(self, job: str) -> Record | None:
        """Return the record, or None when there is none (any more)."""
        return read_record(await self.command("hgetall", self.key("job", job)))

    async def find_result(self, result: Key) -> Record | None:
        """Return the job whose result is kept under this key."""
        job = await self.command("get", result)
        return await self.get(job) if job else None

    async def records(self, jobs: Collection[str]) -> list[Record]:
        """Return the records of these jobs, in order, without those that are gone."""
        hashes = await self.hashes("job", jobs)
        return [record for fields in hashes if (record := read_record(fields))]

    async def jobs(
        self,
        owner: str,
        *,
        after: str | None = None,
        limit: int = 20,
        statuses: Collection[str] = (),
        metadata: Collection[tuple[str, str]] = (),
    ) -> list[Record]:
        """Return up to `limit` of the owner's records older than job `after`, newest first.

        Those of one of the statuses only, if any are given, and with all of the metadata.
        """
        index = self.key("jobs", owner)
        start = await self.rank_after(index, after)
        records: list[Record] = []
        while len(records) < limit:
            ids = await self.command("zrevrange", index, start, start + PAGE - 1)
            if not ids:
                break
            page = await self.records(ids)
            records += [record for record in page if _matches(record, statuses, metadata)]
            start += len(ids)
        return records[:limit]

    async def events(self, job: str, *, after: str = "-", count: int = 500) -> list[Event]:
        """Return the job's events after stream id `after`, oldest first."""
        return _events(await self.command(*self._events_after(job, after, count)))

    async def get_with_events(
        self, job: str, *, after: str = "-", count: int = 500
    ) -> tuple[Record | None, list[Event]]:
        """Return the record, and the events after stream id `after`, in one round trip.

        The record is read first: one that is over has no events to come.
        """
        fields, entries = await self.pipeline(
            [("hgetall", self.key("job", job)), self._events_after(job, after, count)]
        )
        return read_record(fields), _events(entries)

    def _events_after(self, job: str, after: str, count: int) -> Command:
        start = after if after == "-" else f"({after}"
        return ("xrange", self.key("events", job), start, "+", count)

    async def wakes(self) -> AsyncGenerator[str | None, None]:
        """Yield ids of jobs with news, None about once a second; LedgerError when cut off."""
        channel: Any = self.client.pubsub(ignore_subscribe_messages=True)
        try:
            with ledger_errors():
                await channel.subscribe(self.key("wake"))
                while True:
                    message = await channel.get_message(timeout=1.0)
                    yield message["data"] if message else None
        finally:
            await channel.aclose()

    async def usage(self, owner: str) -> tuple[int, int]:
        """Return the owner's queued and running jobs, and the owner's bytes in the store."""
        live, total = await self.pipeline(
            [("scard", self.key("live", owner)), ("hget", self.key("stored", owner), "total")]
        )
        return int(live), int(total or 0)

    async def workers(self) -> list[Presence]:
        """Return what the workers online announced."""
        names = await self.command("zrange", self.key("workers"), 0, -1)
        keys = [self.key("worker", name) for name in names]
        return read_presences(await self.command("mget", keys) if keys else [])

    async def ping(self) -> None:
        """Return when Redis answers; LedgerError when it does not."""
        await self.command("ping")


def _uses(job: Record) -> str:
    """Return the uploads that a job needs, by their ids."""
    parts = (job.summary.head, job.summary.features)
    return ",".join(part.id for part in parts if part and part.id)


def _events(entries: list[tuple[str, dict[str, str]]]) -> list[Event]:
    return [Event(entry, EVENT_DATA.validate_json(fields["data"])) for entry, fields in entries]


def _matches(
    record: Record, statuses: Collection[str], metadata: Collection[tuple[str, str]]
) -> bool:
    is_of_status = not statuses or record.status in statuses
    return is_of_status and set(metadata) <= record.metadata.items()
