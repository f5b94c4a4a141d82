"""Publishes a run's files under its own prefix, the manifest last."""

import hashlib
import importlib.metadata
from pathlib import Path

from headgraft.workers import faults
from headgraft.workers.jobs.manifest import (
    MANIFEST_FILE,
    EncoderUsed,
    Manifest,
    ReportPage,
    StoredFile,
)
from headgraft.workers.jobs.report import Report
from headgraft.workers.store import Store

VERSIONED = ("headgraft", "torch", "safetensors", "open_clip_torch", "sentence-transformers")


def publish(
    store: Store,
    folder: Path,
    prefix: str,
    report: Report,
    page: ReportPage | None,
    encoder: EncoderUsed | None,
) -> Manifest:
    """Write every file of a folder under `prefix`, then manifest.json; return the manifest.

    It repeats of the report what the API shows of a run without opening its files.
    """
    files = {}
    faults.point("before_publish")
    for path in sorted(folder.iterdir()):
        store.write(prefix + path.name, path)
        files[path.name] = StoredFile(bytes=path.stat().st_size, sha256=sha256(path))
    manifest = Manifest(
        prefix=prefix,
        files=files,
        versions=versions(),
        head=report.head,
        method=report.method,
        settings=report.settings,
        estimate=report.estimate,
        verdict=report.verdict,
        seconds=report.seconds,
        page=page,
        encoder=encoder,
    )
    faults.point("before_manifest")
    store.write(prefix + MANIFEST_FILE, manifest.model_dump_json().encode())
    return manifest


def sha256(path: Path) -> str:
    """Hash a file's bytes, without holding them."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def versions() -> dict[str, str]:
    """Return the versions that decide what a run computes."""
    return {name: importlib.metadata.version(name) for name in VERSIONED}
