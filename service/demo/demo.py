"""`headgraft demo`: hides a hundred classes of a real head, injects them, and compares."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

from headgraft import Headgraft, HeadgraftError
from headgraft.service.demo import screen
from headgraft.service.demo.figures import ENCODER, METHOD, DemoOutcome, read_head, read_pictures
from headgraft.service.local.state import StateFolder
from headgraft.service.local.temporary import temporary_service
from headgraft.service.local.up import UpError

FOLDER = Path("demo-out")
WIDTH = 100
NETWORK_SECONDS = JOB_SECONDS = 300.0

Entry = dict[str, str]
Say = Callable[[str], None]


class DemoError(Exception):
    """A stage of the demo failed; the text says which, and why."""


def main(folder: Path = FOLDER) -> int:
    """Run the demo and print what came out; 1 when a stage failed, 130 when it was stopped."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDTH)
    try:
        with console.status("starting") as status:
            outcome = run(folder, status.update)
    except (DemoError, HeadgraftError, UpError) as error:
        sys.stderr.write(f"demo: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("demo: stopped, with everything it had started\n")
        return 130
    screen.show(console, outcome)
    return 0


def run(folder: Path, say: Say) -> DemoOutcome:
    """Run every stage and leave the heads in `folder`; nothing that it starts outlives it.

    `say` is told what is being done. DemoError, HeadgraftError or UpError: what failed, and why.
    """
    start, add = time.perf_counter(), read_hidden()
    unseen = tuple(entry["name"] for entry in add)
    say("hiding 100 of the 1000 classes of EfficientNet-Lite0, and showing it a few pictures")
    prepare(folder, unseen)
    prepared = time.perf_counter()
    seen = read_seen(folder)
    by_name, described = folder / "by-name.safetensors", folder / "described.safetensors"
    say("starting the service")
    with service_of_our_own() as url, Headgraft(url) as client:
        started = time.perf_counter()
        say("injecting 100 classes over HTTP, by bare name")
        seconds_by_name = inject(client, folder, by_name, without_texts(seen), without_texts(add))
        say("injecting 100 classes over HTTP, with one-line descriptions")
        seconds_described = inject(client, folder, described, seen, add)
    return DemoOutcome(
        folder=folder,
        unseen=unseen,
        full=read_head(folder / "lite0.safetensors"),
        seen=read_head(folder / "seen.safetensors"),
        by_name=read_head(by_name),
        described=read_head(described),
        pictures=read_pictures(folder / "pictures.npz"),
        seconds={
            "before": {"network, pictures": prepared - start, "service start": started - prepared},
            "by name": seconds_by_name,
            "described": seconds_described,
        },
    )


@contextmanager
def service_of_our_own() -> Iterator[str]:
    """Run a service that takes nothing from the user's own: its URL, for as long as the block."""
    # An empty home: nothing that an earlier run encoded makes the seconds look better.
    given = {key: value for key, value in os.environ.items() if not key.startswith("HEADGRAFT_")}
    with (
        TemporaryDirectory(prefix="headgraft-demo-", ignore_cleanup_errors=True) as home,
        temporary_service(StateFolder(Path(home)), given) as url,
    ):
        yield url


def read_hidden() -> list[Entry]:
    """Return the hundred classes to hide, each with a description of our own.

    What the full head sees first in five pictures (of the cat: the first three), filled up with
    an even spread over the thousand; fixed and described before any was injected.
    """
    text = files("headgraft.service").joinpath("demo_classes.json").read_text(encoding="utf-8")
    entries: list[Entry] = json.loads(text)
    return entries


def prepare(folder: Path, hidden: Sequence[str]) -> None:
    """Write heads, texts and pictures in a process of their own; DemoError with its last words."""
    hide = folder / "hidden.txt"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        hide.write_text("\n".join(hidden), encoding="utf-8")
    except OSError as error:
        raise DemoError(f"cannot write into {folder}: {error.strerror}") from error
    # In a process of its own: this one imports no torch.
    program = [sys.executable, "-P", "-m", "headgraft.workers.pictures.lite0"]
    command = [*program, str(folder), "--hide", str(hide)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=NETWORK_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise DemoError(f"the network took more than {NETWORK_SECONDS:g} s") from error
    if done.returncode != 0:
        last = done.stderr.strip().rpartition("\n")[2]
        raise DemoError(f"running the network failed with code {done.returncode}: {last}")


def read_seen(folder: Path) -> list[Entry]:
    """Return name and dictionary definition of each class of the seen head, in row order."""
    entries: list[Entry] = json.loads((folder / "classes.json").read_text(encoding="utf-8"))
    kept = set(read_head(folder / "seen.safetensors").class_names)
    return [entry for entry in entries if entry["name"] in kept]


def without_texts(entries: list[Entry]) -> list[Entry]:
    """Leave the descriptions out."""
    return [{"name": entry["name"]} for entry in entries]


def inject(
    client: Headgraft, folder: Path, target: Path, seen: list[Entry], add: list[Entry]
) -> dict[str, float]:
    """Inject into the seen head over HTTP, write `target`, return the seconds of each step.

    DemoError tells why the job did not succeed, HeadgraftError what went wrong on the way.
    """
    start = time.perf_counter()
    job = client.submit(
        folder / "seen.safetensors",
        add=add,
        class_names=seen,
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
    waited = max(ended - uploaded - sum(stages.values()), 0.0)
    downloaded = time.perf_counter() - ended
    return {"upload": uploaded - start, "wait": waited, **stages, "download": downloaded}
