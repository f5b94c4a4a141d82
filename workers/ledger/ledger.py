"""The ledger: job records and the queue in Redis, moved together by scripts; the workers' side.

`service_ledger.py` is the service's side. Every key it uses starts with the prefix (`headgraft:`):

  queue            stream, one message per queued or running job; group `workers`   lasting
  workers          sorted set of worker names by the time they last announced       lasting
  live:OWNER       set of the owner's queued and running jobs                        lasting
  used:UPLOAD      set of the queued and running jobs that need an upload            lasting
  stored:OWNER     hash, the bytes in the store of each of the owner's objects      lasting
  apikeys          sorted set of the created keys' ids by creation time             lasting
  apikey:ID        string, a created key: owner, limits, SHA-256 of its secret      lasting
  requests:KEY     string, requests of a key in this minute; expires with it
  jobs:OWNER       sorted set of the owner's job ids by creation time               lasting
  heads:OWNER      sorted set of the owner's uploaded heads by creation time        lasting
  features:OWNER   sorted set of the owner's features by creation time              lasting
  webhooks:OWNER   sorted set of the owner's webhooks by creation time              lasting
  webhook:ID       hash, where to tell of which events, and the signing secrets     lasting
  due              sorted set of deliveries to make, by the time they are due       lasting
  delivery:ID      hash, a message to a webhook; expires `retention_seconds` after its end
  sent:WEBHOOK     sorted set of its last deliveries; expires long after the last of them
  deadlines        sorted set of the live jobs that have a deadline, by deadline    lasting
  head:ID          hash, an uploaded checkpoint                                     lasting
  feature:ID       hash, uploaded features                                           lasting
  job:ID           hash, the record; expires `retention_seconds` after the job ended
  events:ID        stream, what happened to the job; expires with the record
  worker:NAME      string, what a worker announced; expires with its presence
  answer:DIGEST    hash, what a request with an Idempotency-Key made; expires 60 s after the last
                   byte, once made with the job's record or after `retention_seconds`
  result:DIGEST    string, the job whose result answers an identical request; expires with the job
  seconds:METHOD   list, what the last jobs of a method took; expires `retention_seconds` after
  janitor          string, set while a janitor has cleaned within the hour; expires
  store            hash, the id that the store carries, too, and the janitors' turns  lasting
  scrubbed         string, the path that the check of stored files has come to      lasting
  wake             channel, the id of each job that has a new event (holds no data)
"""

from dataclasses import dataclass
from typing import Any, Literal

import redis
from pydantic import BaseModel
from pydantic_core import from_json

from headgraft.workers.jobs.events import StepProgress
from headgraft.workers.jobs.manifest import Manifest
from headgraft.workers.jobs.presence import Presence
from headgraft.workers.jobs.spec import JobError, Record
from headgraft.workers.jobs.summary import Summary
from headgraft.workers.ledger.scripts import (
    GROUP,
    JobKeys,
    Key,
    Keyspace,
    RedisScripts,
    Script,
)

ATTEMPTS_MAX = 3
PRESENCE_SECONDS = 15.0
# Fields of a record that are JSON; read as such, which is faster than by way of a dict.
DOCUMENTS: dict[str, type[BaseModel]] = {
    "summary": Summary,
    "error": JobError,
    "manifest": Manifest,
}

Answer = Literal["ok", "cancelled", "lost"]
Begun = Literal["begun", "lost", "gone", "exhausted", "late"]


class Announce(Script[str], name="announce"):
    """Make a worker online for a time."""

    workers: Key
    worker: Key
    name: str
    presence: str
    ttl_ms: int


class Begin(Script[Begun], name="begin"):
    """Begin the run of a claimed job."""

    keys: JobKeys
    consumer: str
    message: str
    token: str
    attempts_max: int = ATTEMPTS_MAX


class Renew(Script[Answer], name="renew"):
    """Renew the lease of a run."""

    keys: JobKeys
    consumer: str
    token: str


class NoteProgress(Script[Answer], name="progress"):
    """Note the progress of a run; without a fraction, only ask whether it is still wanted."""

    keys: JobKeys
    token: str
    fraction: float | None
    stage: str | None
    loss: float | None


class Finish(Script[Answer], name="finish"):
    """End a run; `value` is stored under `field`, and `code` is a failure's."""

    keys: JobKeys
    token: str
    status: Literal["succeeded", "failed"]
    field: Literal["manifest", "error"]
    value: str
    code: str | None = None


class Release(Script[Answer], name="release"):
    """Put a run back into the queue; `counts`: its attempt stays counted."""

    keys: JobKeys
    token: str
    counts: int


class NoteDamage(Script[Literal["noted", "known", "missing"]], name="note_damage"):
    """Note that a file of a job's result is damaged."""

    keys: JobKeys
    file: str


class DeleteJob(Script[Literal["removed", "missing"]], name="delete_job"):
    """Delete all that Redis holds of an ended job."""

    keys: JobKeys
    deadlines: Key
    index: Key
    stored: Key
    id: str


@dataclass(frozen=True)
class ClaimedJob:
    """A message delivered to one consumer: the job is its to begin while the lease lasts."""

    message: str
    job: str


class Ledger(RedisScripts):
    """What workers do to a job, each transition one script on the server and safe to repeat."""

    def open_queue(self) -> None:
        """Create the queue and its consumer group where they do not exist yet."""
        try:
            with self.errors():
                self.client.xgroup_create(self.key("queue"), GROUP, id="0", mkstream=True)
        except redis.ResponseError as error:
            if "BUSYGROUP" not in str(error):
                raise

    def claim(
        self, consumer: str, *, lease_seconds: float, block_seconds: float
    ) -> ClaimedJob | None:
        """Take over a message whose lease ran out, else wait for a new one; None if none came.

        `block_seconds` must stay under the client's socket timeout of 5 s.
        """
        queue, lease_ms = self.key("queue"), int(lease_seconds * 1000)
        try:
            with self.errors():
                reply: Any = self.client.xautoclaim(queue, GROUP, consumer, lease_ms, count=1)
                taken = reply[1]
                if not taken:
                    block_ms = int(block_seconds * 1000)
                    new: Any = self.client.xreadgroup(
                        GROUP, consumer, {queue: ">"}, count=1, block=block_ms
                    )
                    taken = new[0][1] if new else []
        except redis.ResponseError as error:
            if "NOGROUP" not in str(error):
                raise
            self.open_queue()
            return None
        return ClaimedJob(taken[0][0], taken[0][1]["job"]) if taken else None

    def begin(self, claim: ClaimedJob, consumer: str, token: str) -> Begun:
        """Count an attempt and make `token` the run's; `exhausted` and `late` ended the job."""
        return self.run(Begin(self.of_job(claim.job), consumer, claim.message, token))

    def renew(self, job: str, consumer: str, token: str) -> Answer:
        """Keep the message: `lost` when another worker has it, `cancelled` when nobody wants it."""
        return self.run(Renew(self.of_job(job), consumer, token))

    def progress(self, job: str, token: str, step: StepProgress | None) -> Answer:
        """Note a step; with None only ask whether the run is wanted."""
        return self.run(NoteProgress(self.of_job(job), token, *(step or (None, None, None))))

    def succeed(self, job: str, token: str, manifest: Manifest) -> Answer:
        """Publish a finished run; refused (`cancelled`, `lost`) unless the token still holds."""
        keys, document = self.of_job(job), manifest.model_dump_json()
        return self.run(Finish(keys, token, "succeeded", "manifest", document))

    def fail(self, job: str, token: str, error: JobError) -> Answer:
        """End a run as failed; refused unless the token still holds."""
        keys, document = self.of_job(job), error.model_dump_json()
        return self.run(Finish(keys, token, "failed", "error", document, error.code))

    def release(self, job: str, token: str, *, counts: bool = False) -> Answer:
        """Put a run back into the queue, its attempt given back unless `counts`."""
        return self.run(Release(self.of_job(job), token, int(counts)))

    def note_damage(self, job: str, file: str) -> None:
        """Mark a file of a result as damaged; an event tells of it, once."""
        self.run(NoteDamage(self.of_job(job), file))

    def remove(self, job: str, owner: str) -> bool:
        """Delete an ended job and its events at once; False when its record had expired."""
        return self.run(delete_job(self, job, owner)) == "removed"

    def get(self, job: str) -> Record | None:
        """Return the record, or None when there is none (any more)."""
        return read_record(self.command("hgetall", self.key("job", job)))

    def announce(self, presence: Presence) -> None:
        """Say that a worker lives; it counts as online for `PRESENCE_SECONDS`."""
        keys = (self.key("workers"), self.key("worker", presence.name))
        ttl_ms = int(PRESENCE_SECONDS * 1000)
        self.run(Announce(*keys, presence.name, presence.model_dump_json(), ttl_ms))

    def withdraw(self, name: str) -> None:
        """Take a worker's announcement back, as it leaves."""
        self.command("zrem", self.key("workers"), name)
        self.command("delete", self.key("worker", name))

    def workers(self) -> list[Presence]:
        """Return what the workers online announced."""
        names = self.command("zrange", self.key("workers"), 0, -1)
        keys = [self.key("worker", name) for name in names]
        return read_presences(self.command("mget", keys) if keys else [])


def delete_job(keyspace: Keyspace, job: str, owner: str) -> DeleteJob:
    """Return the script that deletes an ended job."""
    key = keyspace.key
    lists = (key("deadlines"), key("jobs", owner), key("stored", owner))
    return DeleteJob(keyspace.of_job(job), *lists, job)


def read_record(fields: dict[str, str]) -> Record | None:
    """Return the record that a job's hash holds; None for an empty one."""
    if not fields:
        return None
    texts = {name: value for name, value in fields.items() if value != ""}
    parts = {
        name: model.model_validate_json(texts.pop(name))
        for name, model in DOCUMENTS.items()
        if name in texts
    }
    metadata = from_json(texts.pop("metadata", "{}"))
    return Record.model_validate({**texts, **parts, "metadata": metadata})


def read_presences(documents: list[str | None]) -> list[Presence]:
    """Read what workers announced, leaving out those that have gone meanwhile."""
    return [Presence.model_validate_json(document) for document in documents if document]
