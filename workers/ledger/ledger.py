"""The ledger: job records and the queue in Redis, moved together by scripts.

Every key starts with the prefix (`headgraft:`):

  queue            stream, one message per queued or running job; group `workers`   lasting
  workers          sorted set of worker names by the time they last announced       lasting
  live:OWNER       set of the owner's queued and running jobs                        lasting
  stored:OWNER     hash, the bytes in the store of each of the owner's objects      lasting
  apikeys          sorted set of the created keys' ids by creation time             lasting
  apikey:ID        string, a created key: owner, limits, SHA-256 of its secret      lasting
  requests:KEY     string, requests of a key in this minute; expires with it
  jobs:OWNER       sorted set of the owner's job ids by creation time               lasting
  heads:OWNER      sorted set of the owner's uploaded heads by creation time        lasting
  features:OWNER   sorted set of the owner's labelled features by creation time     lasting
  webhooks:OWNER   sorted set of the owner's webhooks by creation time              lasting
  webhook:ID       hash, where to tell of which events, and the signing secrets     lasting
  due              sorted set of deliveries to make, by the time they are due       lasting
  delivery:ID      hash, a message to a webhook; expires `retention_seconds` after its end
  sent:WEBHOOK     sorted set of its last deliveries; expires long after the last of them
  deadlines        sorted set of the live jobs that have a deadline, by deadline    lasting
  head:ID          hash, an uploaded checkpoint                                     lasting
  feature:ID       hash, uploaded labelled features                                 lasting
  job:ID           hash, the record; expires `retention_seconds` after the job ended
  events:ID        stream, what happened to the job; expires with the record
  worker:NAME      string, what a worker announced; expires with its presence
  answer:DIGEST    hash, what a request with an Idempotency-Key made; expires 60 s after the last
                   byte, once made with the job's record or after `retention_seconds`
  result:DIGEST    string, the job whose result answers an identical request; expires with the job
  seconds:METHOD   list, what the last jobs of a method took; expires `retention_seconds` after
  janitor          string, set while a janitor has cleaned within the hour; expires
  wake             channel, the id of each job that has a new event (holds no data)
"""

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, cast

import redis
from pydantic import BaseModel
from pydantic_core import from_json

from headgraft.workers import faults
from headgraft.workers.jobs.events import EVENT_DATA, Event, StepProgress
from headgraft.workers.jobs.manifest import Manifest
from headgraft.workers.jobs.presence import Presence
from headgraft.workers.jobs.quota import UNLIMITED, UNRESERVED, Quota, Reservation
from headgraft.workers.jobs.spec import JobError, Record
from headgraft.workers.jobs.summary import Summary
from headgraft.workers.ledger.scripts import PREFIX, LedgerError, RedisScripts

GROUP = "workers"
ATTEMPTS_MAX = 3
PRESENCE_SECONDS = 15.0
OF_OWNER = ("jobs", "live", "stored")
# Fields of a record that are JSON; read as such, which is faster than by way of a dict.
DOCUMENTS: dict[str, type[BaseModel]] = {
    "summary": Summary,
    "error": JobError,
    "manifest": Manifest,
}
NOTHING: Mapping[str, str] = MappingProxyType({})
Answer = Literal["ok", "cancelled", "lost"]
Created = Literal["created", "exists", "taken"]
Begun = Literal["begun", "lost", "gone", "exhausted", "late"]


@dataclass(frozen=True)
class ClaimedJob:
    """A message delivered to one consumer: the job is its to begin while the lease lasts."""

    message: str
    job: str


class Ledger(RedisScripts):
    """Every transition of a job, each one script on the server, each safe to repeat."""

    def __init__(
        self, client: "redis.Redis", *, retention_seconds: float = 7 * 86_400, prefix: str = PREFIX
    ) -> None:
        super().__init__(client, prefix)
        self.retention_ms = int(retention_seconds * 1000)

    def _job_keys(self, job: str) -> list[str]:
        return [self.key("job", job), self.key("queue"), self.key("events", job)]

    @property
    def _ending(self) -> tuple[str, str, int]:
        return GROUP, self.key("wake"), self.retention_ms

    def open_queue(self) -> None:
        """Create the queue and its consumer group where they do not exist yet."""
        try:
            self.client.xgroup_create(self.key("queue"), GROUP, id="0", mkstream=True)
        except redis.ResponseError as error:
            if "BUSYGROUP" not in str(error):
                raise

    def create(
        self,
        job: str,
        owner: str,
        *,
        spec: str,
        summary: Summary,
        timeout_seconds: int,
        deadline_seconds: int | None = None,
        fields: Mapping[str, str] = NOTHING,
        bytes_stored: int = 0,
        quota: Quota = UNLIMITED,
        reservation: Reservation = UNRESERVED,
        manifest: Manifest | None = None,
    ) -> Created:
        """Create the record and queue the job in one step; a repeat of the id does nothing.

        `deadline_seconds` count from now; `fields` are further ones of the record. `bytes_stored`
        lie in the store for it; QuotaError where the owner has too much already. With a `manifest`
        the job has succeeded at once. `taken`: the reservation is another's.
        """
        of_owner = (self.key(kind, owner) for kind in OF_OWNER)
        keys = [*self._job_keys(job), self.key("deadlines"), *of_owner, *reservation.keys]
        said = (
            job,
            owner,
            timeout_seconds,
            summary.model_dump_json(),
            spec,
            deadline_seconds or "",
        )
        result = manifest.model_dump_json() if manifest else ""
        further = (part for pair in fields.items() for part in pair)
        settled = (reservation.nonce, reservation.fingerprint, result, *further)
        faults.point("before_create")
        limits = (bytes_stored, *quota.said)
        answer = self.run("create", keys, *self._ending, *said, *limits, *settled)
        quota.check(answer, bytes_stored)
        faults.point("after_create")
        return cast(Created, answer)

    def claim(
        self, consumer: str, *, lease_seconds: float, block_seconds: float
    ) -> ClaimedJob | None:
        """Take over a message whose lease ran out, else wait for a new one; None if none came.

        `block_seconds` must stay under the client's socket timeout of 5 s.
        """
        queue, lease_ms = self.key("queue"), int(lease_seconds * 1000)
        try:
            reply: Any = self.client.xautoclaim(queue, GROUP, consumer, lease_ms, count=1)
            taken = reply[1]
            if not taken:
                block_ms = int(block_seconds * 1000)
                new: Any = self.client.xreadgroup(
                    GROUP, consumer, {queue: ">"}, count=1, block=block_ms
                )
                taken = new[0][1] if new else []
        except (redis.ConnectionError, redis.TimeoutError) as error:
            raise LedgerError(f"Redis does not answer: {error}") from error
        except redis.ResponseError as error:
            if "NOGROUP" not in str(error):
                raise
            self.open_queue()
            return None
        return ClaimedJob(taken[0][0], taken[0][1]["job"]) if taken else None

    def begin(self, claim: ClaimedJob, consumer: str, token: str) -> Begun:
        """Count an attempt and make `token` the run's; `exhausted` and `late` ended the job."""
        said = (consumer, claim.message, token, ATTEMPTS_MAX)
        return cast(Begun, self.run("begin", self._job_keys(claim.job), *self._ending, *said))

    def renew(self, job: str, consumer: str, token: str) -> Answer:
        """Keep the message: `lost` when another worker has it, `cancelled` when nobody wants it."""
        keys = self._job_keys(job)[:2]
        return cast(Answer, self.run("renew", keys, GROUP, consumer, token))

    def progress(self, job: str, token: str, step: StepProgress | None) -> Answer:
        """Note a step; with None only ask whether the run is wanted."""
        fraction, stage, loss = step or ("", "", None)
        keys = [self.key("job", job), self.key("events", job)]
        said = (self.key("wake"), token, fraction, stage, "" if loss is None else loss)
        return cast(Answer, self.run("progress", keys, *said))

    def succeed(self, job: str, token: str, manifest: Manifest) -> Answer:
        """Publish a finished run; refused (`cancelled`, `lost`) unless the token still holds."""
        return self._finish(job, token, "succeeded", "manifest", manifest.model_dump_json())

    def fail(self, job: str, token: str, error: JobError) -> Answer:
        """End a run as failed; refused unless the token still holds."""
        return self._finish(job, token, "failed", "error", error.model_dump_json(), error.code)

    def _finish(self, job: str, token: str, *said: str) -> Answer:
        keys = self._job_keys(job)
        history = self.key("seconds", "")
        return cast(Answer, self.run("finish", keys, *self._ending, token, history, *said))

    def release(self, job: str, token: str, *, counts: bool = False) -> Answer:
        """Put a run back into the queue, its attempt given back unless `counts`."""
        said = (GROUP, self.key("wake"), token, int(counts))
        return cast(Answer, self.run("release", self._job_keys(job), *said))

    def cancel(self, job: str, reservation: Reservation = UNRESERVED) -> str:
        """End a job at once: `ok`, `missing`, `taken`, or the terminal status it already has."""
        keys = [*self._job_keys(job), *reservation.keys]
        settled = (reservation.nonce, reservation.fingerprint)
        return self.run("cancel", keys, *self._ending, *settled)

    def remove(self, job: str, owner: str) -> bool:
        """Forget an ended job and its events at once; False when its record had expired."""
        keys = [self.key("jobs", owner), self.key("stored", owner)]
        records = [self.key("job", job), self.key("events", job)]
        self.run("detach", [self.key("queue"), self.key("job", job), self.key("deadlines")], job)
        return self.run("remove", [*keys, *records], job) == "removed"

    def get(self, job: str) -> Record | None:
        """Return the record, or None when there is none (any more)."""
        fields = cast(dict[str, str], self.ask("hgetall", self.key("job", job)))
        return _record(fields) if fields else None

    def jobs(
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
        start = self.behind(index, after)
        records: list[Record] = []
        while len(records) < limit and (ids := self.ask("zrevrange", index, start, start + 99)):
            found = self.ask_all([("hgetall", self.key("job", job)) for job in ids])
            records += [_record(one) for one in found if one and _is_of(one, statuses, metadata)]
            start += len(ids)
        return records[:limit]

    def events(self, job: str, *, after: str = "-", count: int = 500) -> list[Event]:
        """Return the job's events behind stream id `after`, oldest first."""
        start = after if after == "-" else f"({after}"
        entries: Any = self.ask("xrange", self.key("events", job), start, "+", count)
        return [Event(entry, EVENT_DATA.validate_json(fields["data"])) for entry, fields in entries]

    def wakes(self) -> Iterator[str | None]:
        """Yield ids of jobs with news, None about once a second; LedgerError when cut off."""
        channel: Any = self.client.pubsub(ignore_subscribe_messages=True)  # type: ignore[no-untyped-call]  # redis leaves it untyped
        try:
            channel.subscribe(self.key("wake"))
            while True:
                message = channel.get_message(timeout=1.0)
                yield message["data"] if message else None
        except (redis.ConnectionError, redis.TimeoutError) as error:
            raise LedgerError(f"Redis does not answer: {error}") from error
        finally:
            channel.close()

    def announce(self, presence: Presence) -> None:
        """Say that a worker lives; it counts as online for `PRESENCE_SECONDS`."""
        keys = [self.key("workers"), self.key("worker", presence.name)]
        ttl_ms = int(PRESENCE_SECONDS * 1000)
        self.run("announce", keys, presence.name, presence.model_dump_json(), ttl_ms)

    def withdraw(self, name: str) -> None:
        """Take a worker's announcement back, as it leaves."""
        self.ask("zrem", self.key("workers"), name)
        self.ask("delete", self.key("worker", name))

    def workers(self) -> list[Presence]:
        """Return what the workers online announced."""
        names = self.ask("zrange", self.key("workers"), 0, -1)
        said = self.ask("mget", [self.key("worker", name) for name in names]) if names else []
        return [Presence.model_validate_json(one) for one in said if one]

    def ping(self) -> None:
        """Return when Redis answers; LedgerError when it does not."""
        self.ask("ping")


def _is_of(
    fields: Mapping[str, str], statuses: Collection[str], metadata: Collection[tuple[str, str]]
) -> bool:
    if statuses and fields["status"] not in statuses:
        return False
    return not metadata or set(metadata) <= json.loads(fields.get("metadata", "{}")).items()


def _record(fields: dict[str, str]) -> Record:
    texts = {name: value for name, value in fields.items() if value != ""}
    parts = {
        name: model.model_validate_json(texts.pop(name))
        for name, model in DOCUMENTS.items()
        if name in texts
    }
    metadata = from_json(texts.pop("metadata", "{}"))
    return Record.model_validate({**texts, **parts, "metadata": metadata})
