"""Publishes a run's files under its own prefix, the manifest last."""

import hashlib
import importlib.metadata
import json
from pathlib import Path
from typing import Any

from headgraft.workers import faults
from headgraft.workers.store import Store

MANIFEST_FILE = "manifest.json"
VERSIONED = ("headgraft", "torch", "safetensors", "open_clip_torch", "sentence-transformers")


def publish(store: Store, folder: Path, prefix: str, told: dict[str, Any]) -> dict[str, Any]:
    """Write every file of a folder under `prefix`, then manifest.json; return the manifest.

    It also says what is `told` here: what the API shows of a run without opening its files.
    """
    files = {}
    faults.point("before_publish")
    for path in sorted(folder.iterdir()):
        store.write(prefix + path.name, path)
        files[path.name] = {"bytes": path.stat().st_size, "sha256": sha256(path)}
    manifest = {
        "prefix": prefix,
        "files": files,
        "versions": versions(),
        **told,
    }
    faults.point("before_manifest")
    store.write(prefix + MANIFEST_FILE, json.dumps(manifest).encode())
    return manifest


def sha256(path: Path) -> str:
    """Hash a file's bytes, without holding them."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def versions() -> dict[str, str]:
    """Return the versions that decide what a run computes."""
    return {name: importlib.metadata.version(name) for name in VERSIONED}
