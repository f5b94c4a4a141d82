"""`headgraft inject`: from a checkpoint file to the extended file beside it.

It starts a service for the occasion where none runs.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import JsonValue
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from headgraft import Headgraft
from headgraft.arguments import Scalar
from headgraft.service.cli.features import features_file
from headgraft.service.cli.parsing import Entry, TypedError
from headgraft.service.local.state import locate
from headgraft.service.local.temporary import temporary_service
from headgraft.service.schemas.formats import FILES, Format
from headgraft.service.schemas.injections import InjectionResource as Injection
from headgraft.workers.jobs.report import Estimate, Figure, OldClassLoss, VerdictPart

# The service gives back safetensors, whatever it was sent.
TORCH_SUFFIXES = (".pt", ".pth")
# A file's name can ask for the head alone.
ALONE: dict[str, Format] = {".onnx": "onnx", ".npz": "npz", ".pt": "pt", ".json": "labels"}


@dataclass(frozen=True)
class InjectArguments:
    """What is to be injected into which file; None leaves a choice to the service."""

    checkpoint: Path
    add: list[Entry]
    names: list[Entry] | None = None
    method: str | None = None
    settings: Mapping[str, JsonValue] | None = None
    encoder: str | None = None
    calibration: Mapping[str, Scalar] | None = None
    features: Path | None = None
    network: Mapping[str, str] | None = None
    metadata: Mapping[str, str] | None = None
    target: Path | None = None
    may_overwrite: bool = False

    def choose_target(self) -> Path:
        """Return where the result goes; TypedError when something lies there already."""
        is_torch = self.checkpoint.suffix in TORCH_SUFFIXES
        suffix = ".safetensors" if is_torch else self.checkpoint.suffix
        named = f"{self.checkpoint.stem}+{len(self.add)}{suffix}"
        target = self.target or self.checkpoint.with_name(named)
        if target.is_dir():
            target /= named
        if target.exists() and not self.may_overwrite:
            raise TypedError(f"{target} exists already; choose with --out, or overwrite by --force")
        if not target.parent.is_dir():
            raise TypedError(f"there is no folder {target.parent} to write {target.name} into")
        return target


def carry_out(
    arguments: InjectArguments, url: str | None, key: str | None, console: Console
) -> str:
    """Inject, wait and save; return one line that says what came out, and where."""
    target = arguments.choose_target()
    if not arguments.checkpoint.is_file():
        raise TypedError(f"there is no checkpoint {arguments.checkpoint}")
    names = [entry["name"] for entry in arguments.names or ()]
    with (
        features_file(
            arguments.features, arguments.network, arguments.checkpoint, names, console
        ) as features,
        _progress(console) as progress,
        _service(url, progress) as (address, is_ours),
        Headgraft(address, key) as client,
    ):
        ended = _run(client, replace(arguments, features=features), progress, is_ours=is_ours)
        client.download(ended.id, target, _format(ended, target))
        report = client.report(ended.id)
    assert ended.result is not None
    seconds = sum((ended.seconds or {}).values())
    return (
        f"{_judged(report.verdict)}"
        f"{target}: {ended.seen_count} classes and {ended.unseen_count} new ones, "
        f"by {ended.result.method} in {seconds:.1f} s ({ended.id})"
        f"{_expected(report.estimate)}{_at_risk(report.old_classes_at_risk)}"
    )


def _format(ended: Injection, target: Path) -> Format:
    """Return what the file's name says, else the checkpoint, or what there is in its place."""
    named = ALONE.get(target.suffix)
    if named:
        return named
    left = {one.name for one in ended.artifacts}
    return "safetensors" if FILES["safetensors"] in left else "native"


def _expected(estimate: Estimate | None) -> str:
    """Say what to expect of the head, where that is known."""
    if not estimate or not estimate.u.is_known:
        return ""
    count = estimate.pictures
    basis = f"by {count} labelled features" if count else "without a picture seen"
    new = f"\nexpected, {basis}: {_share(estimate.u)} of new"
    if not estimate.s.is_known:
        return f"{new} classes recognised; of old classes nothing is promised"
    return f"{new} and {_share(estimate.s)} of old classes recognised"


def _share(figure: Figure) -> str:
    return f"{100 * figure.value:.0f} % ({100 * figure.low:.0f} to {100 * figure.high:.0f})"


def _judged(verdict: VerdictPart | None) -> str:
    """Say the verdict and what helps most, a line each."""
    if verdict is None:
        return ""
    lines = [f"{verdict.word}: {verdict.reason}"]
    if verdict.next_step:
        lines.append(f"what helps most: {verdict.next_step.sentences}")
    return "".join(f"{line}\n" for line in lines)


def _at_risk(losses: list[OldClassLoss]) -> str:
    """Name the old classes that are expected to lose most, and to which new ones."""
    if not losses:
        return ""
    named = (f"{one.name} {100 * one.loss:.0f} points to {one.to}" for one in losses)
    return f"\nold classes that lose most: {', '.join(named)}"


@contextmanager
def _service(url: str | None, progress: Progress) -> Iterator[tuple[str, bool]]:
    """Yield the URL of a service, and whether it was started here and ends here."""
    home = locate(os.environ)
    running = url or home.running()
    if running:
        yield running, False
        return
    task = progress.add_task("starting a service", total=None)
    with temporary_service(home, os.environ) as started:
        progress.remove_task(task)
        yield started, True


def _run(
    client: Headgraft, arguments: InjectArguments, progress: Progress, *, is_ours: bool
) -> Injection:
    upload = progress.add_task("upload", total=None)

    def on_upload(sent: int, total: int) -> None:
        progress.update(upload, completed=sent, total=total)

    features = client.upload_features(arguments.features) if arguments.features else None
    encoder = arguments.encoder
    embeddings = {"kind": "names", "encoder": encoder} if encoder else None
    injection = client.submit(
        arguments.checkpoint,
        arguments.add,
        features_id=features.id if features else None,
        class_names=arguments.names,
        method=arguments.method,
        settings=arguments.settings,
        calibration=arguments.calibration,
        metadata=arguments.metadata,
        class_embeddings=embeddings,
        on_upload=on_upload,
    )
    try:
        return client.result(injection.id, _shown_by(progress))
    except KeyboardInterrupt:
        if not is_ours:
            progress.console.print(_goes_on(injection.id), highlight=False)
        raise


def _goes_on(injection: str) -> str:
    return f"{injection} goes on without you; end it with `headgraft cancel {injection}`"


def _shown_by(progress: Progress) -> Callable[[Injection], None]:
    task = progress.add_task("queued", total=1.0)

    def show(injection: Injection) -> None:
        progress.update(task, completed=injection.progress, description=describe(injection))

    return show


def describe(injection: Injection) -> str:
    """Say in a few words what an injection is doing."""
    if injection.status == "queued":
        if not injection.workers_online:
            return "queued, no worker online yet"
        return f"queued, number {injection.queue_position or 1}"
    if injection.status != "running":
        return injection.status
    stage = injection.stage or "running"
    return stage if injection.loss is None else f"{stage}, loss {injection.loss:.4g}"


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeElapsedColumn(),
        console=console,
    )


def calibration(prefer: str | None, max_seen_loss: float | None) -> Mapping[str, Scalar] | None:
    """Return the calibration that a request asks for; None where it asks for nothing."""
    given = {"prefer": prefer, "seen_loss_points": max_seen_loss}
    return {name: value for name, value in given.items() if value is not None} or None
