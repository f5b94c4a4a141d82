"""The demo's two injections over HTTP."""

import time
from dataclasses import dataclass
from pathlib import Path

from headgraft import Headgraft

METHOD, ENCODER = "ridge", "minilm"
JOB_SECONDS = 300.0

Entry = dict[str, str]


class DemoError(Exception):
    """A stage of the demo failed; the text says which, and why."""


@dataclass(frozen=True)
class Texts:
    """What a text encoder is told of the seen classes and of those to add."""

    seen: list[Entry]
    add: list[Entry]

    def names_only(self) -> "Texts":
        """Leave the descriptions out."""
        return Texts(_bare(self.seen), _bare(self.add))


@dataclass(frozen=True)
class Injected:
    """A downloaded head, and the seconds that each step took."""

    path: Path
    seconds: dict[str, float]


def inject(client: Headgraft, source: Path, target: Path, texts: Texts) -> Injected:
    """Upload a checkpoint, wait for its injection, download the extended file to `target`.

    DemoError tells why the job did not succeed, HeadgraftError what went wrong on the way.
    """
    start = time.perf_counter()
    job = client.submit(
        source,
        add=texts.add,
        class_names=texts.seen,
        method=METHOD,  # with its defaults: nothing here is tuned to the pictures
        class_embeddings={"kind": "names", "encoder": ENCODER},
    )
    uploaded = time.perf_counter()
    job = client.wait(job.id, timeout_seconds=JOB_SECONDS)
    if job.status != "succeeded":
        why = job.error.message if job.error else "it gave no reason"
        raise DemoError(f"injection {job.id} {job.status}: {why}")
    ended = time.perf_counter()
    client.download(job.id, target)
    stages: dict[str, float] = job.seconds or {}
    waited = ended - uploaded - sum(stages.values())
    return Injected(
        target,
        {
            "upload": uploaded - start,
            "wait": max(waited, 0.0),
            **stages,
            "download": time.perf_counter() - ended,
        },
    )


def _bare(entries: list[Entry]) -> list[Entry]:
    return [{"name": entry["name"]} for entry in entries]
