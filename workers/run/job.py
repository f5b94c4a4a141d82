"""Runs one injection: files in, files out. It knows neither Redis nor HTTP nor the store."""

import dataclasses
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from headgraft.models import catalogue
from headgraft.models.embeddings import encoders
from headgraft.models.errors import InjectionError
from headgraft.models.heads import checkpoint
from headgraft.models.heads.attribute import AttributeHead
from headgraft.models.heads.extend import inject
from headgraft.models.heads.head import Head
from headgraft.models.heads.semantic import SemanticHead
from headgraft.models.method import AnyParsed
from headgraft.models.progress import Progress
from headgraft.models.selection.solve import AUTO
from headgraft.models.task import Task
from headgraft.workers.jobs import spec as jobs
from headgraft.workers.jobs.manifest import ReportPage
from headgraft.workers.jobs.report import Converted, Report, WrittenPart
from headgraft.workers.report import data
from headgraft.workers.run import attribute_head as attribute
from headgraft.workers.run import features as labelled
from headgraft.workers.run import linear_head
from headgraft.workers.run import semantic_head as semantic
from headgraft.workers.run.attributes import attributes_of
from headgraft.workers.run.regions import RegionFile
from headgraft.workers.run.solve import Made, Rows, solve
from headgraft.workers.torch_files.convert import Limits, converted, defect

HEAD_FILE = "head.safetensors"
REPORT_FILE = "report.json"


class Shelf:
    """The encoders of one process: each loaded once, on first use or by `warm`."""

    def __init__(self, folder: Path | None, cache: Path | None, device: str) -> None:
        self._folder = folder
        self._device = device
        self._lock = threading.Lock()
        self._loaded: dict[str, encoders.TextEncoder] = {}
        self.cache = cache

    def get(self, name: str) -> encoders.TextEncoder:
        """Return an encoder by its short name; InjectionError names the installed ones."""
        with self._lock:
            if name not in self._loaded:
                self._loaded[name] = encoders.load(name, self._folder, self._device)
            return self._loaded[name]

    def installed(self) -> dict[str, encoders.EncoderInfo]:
        """Say what could be loaded."""
        return encoders.installed(self._folder)


class Stages:
    """Seconds spent in each named stage of a run."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def time(self, stage: str) -> Iterator[None]:
        """Count the block's wall time under `stage`."""
        start = time.perf_counter()
        yield
        self.seconds[stage] = round(time.perf_counter() - start, 4)


def run_job(
    spec: jobs.JobSpec,
    source: Path,
    folder: Path,
    *,
    shelf: Shelf,
    device: str,
    limits: Limits,
    progress: Progress,
    features: Path | None = None,
) -> tuple[Report, ReportPage | None]:
    """Inject `spec.add` into the checkpoint `source`; write head, report and its page.

    All go into `folder`; `features` is the file of `spec.features`. A torch file is converted
    within `limits`, and gone then; the head is a safetensors file. Returns the report, and of its
    page what the page's server must know. Raises InjectionError for what the user caused, Stopped
    when told to stop.
    """
    stages = Stages()
    progress(0.0, "load")
    parsed = None
    if spec.method != AUTO:
        parsed = catalogue.method(spec.method).parse(spec.settings)
    conversion = None
    if spec.head.format == "torch":
        progress(0.0, "convert")
        with stages.time("convert"):
            spec, source, conversion = converted(spec, source, limits=limits, progress=progress)
    with stages.time("load"):
        head = _read_head(spec.head, source)
        regions = RegionFile(features) if features and _needs_regions(parsed) else None
        pictures = labelled.read(features, head) if features and not regions else None
    progress(0.0, "embed")
    with stages.time("embed"):
        task = _task(spec, head, shelf)
        task = dataclasses.replace(task, regions=regions, pictures=pictures)
    progress(0.0, "synthesize")
    with stages.time("synthesize"):
        made, solved = solve(spec, parsed, task, device=device, progress=progress)
    progress(1.0, "write")
    with stages.time("write"):
        written = _written(spec, task, made, source, folder)
    report = Report(
        **{name: getattr(solved, name) for name in solved.model_fields_set},
        **{name: getattr(written, name) for name in written.model_fields_set},
        converted=Converted(source_format=spec.head.format, **conversion.model_dump())
        if conversion
        else None,
        seconds=stages.seconds,
    )
    (folder / REPORT_FILE).write_text(data.as_json(report), encoding="utf-8")
    progress(1.0, "draw")
    with stages.time("draw"):
        # It brings matplotlib, which would make every start of a worker a third of a second longer.
        from headgraft.workers.report import page

        drawn = page.write(report, folder / page.PAGE_FILE)
    # What is asked of the run afterwards counts the drawing, too.
    report.seconds = stages.seconds
    return report, drawn


def _read_head(stored: jobs.StoredHead, source: Path) -> Head:
    try:
        return checkpoint.read_head(
            source,
            weight=stored.located.weight,
            bias=stored.located.bias,
            class_names=jobs.names(stored.class_names),
            metric=stored.metric,
            scale=stored.scale,
        )
    except InjectionError as error:
        raise defect(str(error)) from error


def _task(spec: jobs.JobSpec, head: Head, shelf: Shelf) -> Task:
    given, tower, attributes = spec.class_embeddings, None, None
    if isinstance(given, jobs.NameEmbeddings):
        encoder = shelf.get(given.encoder)
        tower = encoder.text_tower
        classes = [*spec.head.class_names, *spec.add]
        embeddings_CA = encoders.encode_classes(
            encoder,
            jobs.names(classes),
            [entry.description for entry in classes],
            given.templates,
            shelf.cache,
        )
        seen_SA, unseen_UA = embeddings_CA[: head.class_count], embeddings_CA[head.class_count :]
    else:
        seen_SA, unseen_UA = torch.tensor(given.seen), torch.tensor(given.unseen)
        attributes = attributes_of(given, shelf.get, shelf.cache)
    return Task(head, seen_SA, unseen_UA, jobs.names(spec.add), tower, attributes)


def _needs_regions(parsed: AnyParsed | None) -> bool:
    return parsed is not None and "regions" in parsed.method.needs


def _written(spec: jobs.JobSpec, task: Task, made: Made, source: Path, folder: Path) -> WrittenPart:
    """Write the head's files; return what the report says of them."""
    if isinstance(made, SemanticHead):
        return semantic.write(spec, made, source, folder)
    if isinstance(made, AttributeHead):
        assert task.regions is not None
        return attribute.write(spec, made, task.regions, folder)
    assert isinstance(made, Rows)
    target, replaced = folder / HEAD_FILE, None if made.seen is task.head else made.seen
    _write(spec, source, target, made.unseen, replaced)
    linear_head.write(inject(made.seen, made.unseen), task.head.class_count, folder)
    return data.describe_rows(spec, made.seen, made.unseen, source, target)


def _write(
    spec: jobs.JobSpec, source: Path, target: Path, unseen: Head, replaced: Head | None
) -> None:
    tensors = spec.head.located
    names = jobs.names([*spec.head.class_names, *spec.add])
    checkpoint.write_extended(
        source,
        target,
        weight=tensors.weight,
        bias=tensors.bias,
        unseen=unseen,
        class_names=names,
        replaced=replaced,
    )
