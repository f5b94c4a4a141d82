"""Answers a request by the result of an identical one: the same bytes, under the new job's name.

Identical is what would be computed alike: the same head, classes, class embeddings, features,
method and settings, by the versions that every worker online has.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from headgraft.service.web.idempotency import canonical, digest
from headgraft.workers.jobs.manifest import MANIFEST_FILE, Manifest
from headgraft.workers.jobs.presence import Presence
from headgraft.workers.jobs.spec import JobSpec, Record
from headgraft.workers.ledger.scripts import Key
from headgraft.workers.ledger.service_ledger import ServiceLedger
from headgraft.workers.store import Damaged, Missing, Store, StoreError

# Where the bytes lie, and how long a run may last.
ASIDE: dict[str, set[str] | bool] = {
    "head": {"path"},
    "features": {"path"},
    "timeout_seconds": True,
}
log = structlog.get_logger("headgraft.reuse")


@dataclass(frozen=True)
class Copy:
    """A result under a new name, and the job it was made by."""

    source: str
    manifest: Manifest

    @property
    def bytes(self) -> int:
        """The size of its files."""
        return sum(file.bytes for file in self.manifest.files.values())


def digest_of(owner: str, spec: JobSpec) -> str:
    """Hash what an owner asks for, by the content of its files."""
    return digest(owner, canonical(spec.model_dump(mode="json", exclude=ASIDE)))


async def find(
    ledger: ServiceLedger, owner: str, result: Key, spec: JobSpec, workers: Sequence[Presence]
) -> Record | None:
    """Return a job whose result is what the workers online would make again.

    None without a worker online: the versions that would be used are not known.
    """
    record = await ledger.find_result(result)
    if record is None or record.owner != owner or record.manifest is None or not workers:
        return None
    manifest = record.manifest
    is_of_now = all(worker.versions == manifest.versions for worker in workers)
    return record if is_of_now and _is_of_encoder(manifest, spec, workers) else None


def _is_of_encoder(manifest: Manifest, spec: JobSpec, workers: Sequence[Presence]) -> bool:
    name = spec.class_embeddings.encoder
    if name is None:
        return True
    announced = [worker.encoders.get(name) for worker in workers]
    digests = {encoder.digest for encoder in announced if encoder}
    return manifest.encoder is not None and digests == {manifest.encoder.digest}


def copy(store: Store, source: Record, job: Record) -> Copy | None:
    """Copy a result's files to a job's own folder; None where they are being deleted.

    Damaged where the store no longer has the bytes that were written.
    """
    assert source.manifest is not None
    prefix = f"{job.owner}/{job.id}/{secrets.token_hex(16)}/"
    manifest = source.manifest.model_copy(update={"prefix": prefix})
    try:
        for name, file in manifest.files.items():
            store.verify(source.manifest.prefix + name, file.sha256)
            store.copy(source.manifest.prefix + name, prefix + name)
        store.write(prefix + MANIFEST_FILE, manifest.model_dump_json().encode())
    except Missing:
        log.info("result_gone", job=job.id, source=source.id)
        _discard(store, prefix)
        return None
    except Damaged:
        _discard(store, prefix)
        raise
    return Copy(source.copied_from or source.id, manifest)


def _discard(store: Store, prefix: str) -> None:
    try:
        store.delete(prefix)
    except StoreError as error:
        log.warning("copy_left_to_the_janitor", prefix=prefix, error=str(error))
