"""Makes finished injections without a worker, with whatever files a test wants downloaded."""

import hashlib
from collections.abc import Mapping
from typing import Any

import httpx

from headgraft.workers.store import Store
from tests.documents import manifest
from tests.ledger import Ledger
from tests.service.injections.test_routes import TOKEN, begin, created


def finished(
    api: httpx.Client, ledger: Ledger, store: Store, files: Mapping[str, bytes], **told: Any
) -> str:
    """Do all that a worker does; return the address of the injection."""
    job = created(api)
    begin(ledger, job)
    prefix = f"local/{job}/{TOKEN}/"
    for name, content in files.items():
        store.write(prefix + name, content)
    about = {name: describe(content) for name, content in files.items()}
    assert ledger.succeed(job, TOKEN, manifest(prefix, files=about, **told)) == "ok"
    return f"/v1/injections/{job}"


def describe(content: bytes) -> dict[str, Any]:
    """Return what a manifest says of a file."""
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
