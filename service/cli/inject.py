"""`headgraft inject`: from a checkpoint file to the extended file beside it.

It starts a service for the occasion where none runs.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import JsonValue
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from headgraft import Headgraft, HeadgraftError
from headgraft.arguments import Scalar
from headgraft.remarks import grounds, warnings
from headgraft.service.cli import results, wording
from headgraft.service.cli.features import features_file
from headgraft.service.cli.foreign import check_kind
from headgraft.service.cli.parsing import TypedError
from headgraft.service.cli.targets import (
    CONFIG_FILE,
    Destination,
    Source,
    choose_target,
    find_source,
)
from headgraft.service.local.state import locate
from headgraft.service.local.temporary import temporary_service
from headgraft.service.schemas.injections import InjectionResource as Injection
from headgraft.workers.jobs.report import (
    Estimate,
    Figure,
    OldClassLoss,
    Report,
    VerdictPart,
)
from headgraft.workers.names.class_list import ClassList, NamesError
from headgraft.workers.names.files import read_names


@dataclass(frozen=True)
class InjectArguments:
    """What is to be injected into which file; None leaves a choice to the service."""

    checkpoint: Path
    add: ClassList
    names: ClassList | None = None
    allow_twins: bool = False
    key: str | None = None
    allow_ungrown: Sequence[str] | None = None
    head: Mapping[str, Scalar] | None = None
    method: str | None = None
    settings: Mapping[str, JsonValue] | None = None
    embeddings: Mapping[str, Any] | None = None
    calibration: Mapping[str, Scalar] | None = None
    timeout_seconds: int | None = None
    features: Path | None = None
    network: Mapping[str, str] | None = None
    metadata: Mapping[str, str] | None = None
    target: Path | None = None
    may_overwrite: bool = False

    def place(self) -> tuple[Source, Destination]:
        """Return what is read and where the result goes; TypedError where that cannot be."""
        source = find_source(self.checkpoint)
        target = choose_target(
            source, len(self.add.classes), self.target, may_overwrite=self.may_overwrite
        )
        return source, target


def carry_out(
    arguments: InjectArguments, url: str | None, key: str | None, console: Console
) -> str:
    """Inject, wait and save; return what came out, where, and what to look at, a line each."""
    source, target = arguments.place()
    check_kind(source.weights)
    names = arguments.names or _names_of_folder(source)
    for listed in filter(None, (names, arguments.add)):
        console.print(listed.summary, highlight=False, markup=False)
    with (
        features_file(
            arguments.features,
            arguments.network,
            source.weights,
            names.names if names else (),
            console,
        ) as features,
        _progress(console) as progress,
        _service(url, progress) as (address, is_ours),
        Headgraft(address, key) as client,
    ):
        # A folder of pictures was run through the network here.
        network = arguments.network if features == arguments.features else None
        sent = replace(arguments, features=features, network=network)
        try:
            ended = _run(client, sent, source.weights, names, progress, is_ours=is_ours)
        except HeadgraftError as error:
            raise TypedError(wording.as_typed(error, names, arguments.add)) from error
        notes = results.save(client, ended, source, target)
        report = client.report(ended.id)
    assert ended.result is not None
    seconds = sum((ended.seconds or {}).values())
    line = (
        f"{_judged(report.verdict)}"
        f"{target.folder or target.path}: {ended.seen_count} classes and {ended.unseen_count} new "
        f"ones, by {ended.result.method} in {seconds:.1f} s ({ended.id})"
        f"{_expected(report.estimate)}{_at_risk(report.old_classes_at_risk)}"
    )
    return "\n".join([line, *_told(report, notes)])


def _names_of_folder(source: Source) -> ClassList | None:
    """Return the names in the config of a network's folder, None where it has none."""
    if source.folder is None:
        return None
    try:
        return read_names(source.folder / CONFIG_FILE)
    except NamesError:
        return None


def _told(report: Report, notes: list[str]) -> Iterator[str]:
    """Say what to look at before trusting the head, which tensors grew, and the grounds."""
    yield from (f"warning: {wording.in_options(text)}" for text in warnings(report))
    yield from (f"note: {wording.in_options(text)}" for text in (*grounds(report), *notes))


def _expected(estimate: Estimate | None) -> str:
    """Say what to expect of the head, where that is known."""
    if not estimate or not estimate.u.is_known:
        return ""
    kinds = {
        "labelled": "labelled features",
        "unlabelled": "features without labels",
        "generic": "generic pictures",
    }
    kind = kinds.get(estimate.ground)
    basis = f"by {estimate.pictures} {kind}" if kind else "without a picture seen"
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
    client: Headgraft,
    arguments: InjectArguments,
    checkpoint: Path,
    names: ClassList | None,
    progress: Progress,
    *,
    is_ours: bool,
) -> Injection:
    upload = progress.add_task("upload", total=None)

    def on_upload(sent: int, total: int) -> None:
        progress.update(upload, completed=sent, total=total)

    features = client.upload_features(arguments.features) if arguments.features else None
    injection = client.submit(
        checkpoint,
        arguments.add.entries,
        features_id=features.id if features else None,
        class_names=names.entries if names else None,
        allow_twins=arguments.allow_twins or None,
        key=arguments.key,
        allow_ungrown=arguments.allow_ungrown,
        head=arguments.head,
        method=arguments.method,
        settings=arguments.settings,
        calibration=arguments.calibration,
        network=arguments.network,
        metadata=arguments.metadata,
        class_embeddings=arguments.embeddings,
        timeout_seconds=arguments.timeout_seconds,
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
