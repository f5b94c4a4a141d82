"""Runs one injection: files in, files out."""

import dataclasses
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from headgraft.models import catalogue
from headgraft.models.embeddings import encoders
from headgraft.models.embeddings.random_words import random_words
from headgraft.models.errors import InjectionError
from headgraft.models.heads import checkpoint
from headgraft.models.heads.attribute import AttributeHead
from headgraft.models.heads.extend import inject
from headgraft.models.heads.head import Head
from headgraft.models.heads.semantic import SemanticHead
from headgraft.models.method import AnyParsed
from headgraft.models.progress import Progress
from headgraft.models.selection.solve import AUTO
from headgraft.models.selection.verdict import ClassInformation
from headgraft.models.task import Task
from headgraft.workers.jobs import spec as jobs
from headgraft.workers.jobs.manifest import ReportPage
from headgraft.workers.jobs.report import Converted, Report, WrittenPart
from headgraft.workers.report import data, page
from headgraft.workers.run import attribute_head, linear_head, semantic_head
from headgraft.workers.run.attributes import attributes_of
from headgraft.workers.run.features import read_features
from headgraft.workers.run.regions import RegionFile
from headgraft.workers.run.solve import SolvedHead, SolvedRows, solve_job
from headgraft.workers.torch_files.convert import ConversionLimits, converted, defect

HEAD_FILE = "head.safetensors"
REPORT_FILE = "report.json"


class EncoderRegistry:
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
        """List the encoders that could be loaded."""
        return encoders.installed(self._folder)


class StageTimer:
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
    registry: EncoderRegistry,
    device: str,
    limits: ConversionLimits,
    progress: Progress,
    features: Path | None = None,
) -> tuple[Report, ReportPage | None]:
    """Inject `spec.add` into the checkpoint `source`; write head, report and its page.

    All go into `folder`; `features` is the file of `spec.features`. A torch file is converted
    within `limits`, and gone then; the head is a safetensors file. Returns the report, and of its
    page what the page's server must know. Raises InjectionError for what the user caused, Stopped
    on cancellation.
    """
    timer = StageTimer()
    progress(0.0, "load")
    parsed = None
    if spec.method != AUTO:
        parsed = catalogue.method(spec.method).parse(spec.settings)
    conversion = None
    if spec.head.format == "torch":
        progress(0.0, "convert")
        with timer.time("convert"):
            spec, source, conversion = converted(spec, source, limits=limits, progress=progress)
    with timer.time("load"):
        head = _read_head(spec.head, source)
        regions = labelled = unlabelled = None
        if features and _needs_regions(parsed):
            regions = RegionFile(features)
        elif features:
            labelled, unlabelled = read_features(features, head)
    progress(0.0, "embed")
    with timer.time("embed"):
        task = _task(spec, head, registry)
        task = dataclasses.replace(task, regions=regions, features=labelled, unlabelled=unlabelled)
    progress(0.0, "synthesize")
    with timer.time("synthesize"):
        information = _information(spec, registry)
        solved, how = solve_job(spec, parsed, task, information, device=device, progress=progress)
    progress(1.0, "write")
    with timer.time("write"):
        written = _write(spec, task, solved, source, folder)
    report = Report(
        **{name: value for name, value in how if name in how.model_fields_set},
        **{name: value for name, value in written if name in written.model_fields_set},
        converted=Converted(source_format=spec.head.format, **conversion.model_dump())
        if conversion
        else None,
        seconds=timer.seconds,
    )
    (folder / REPORT_FILE).write_text(data.as_json(report), encoding="utf-8")
    progress(1.0, "draw")
    with timer.time("draw"):
        drawn = page.write(report, folder / page.PAGE_FILE)
    # What is asked of the run afterwards counts the drawing, too.
    report.seconds = timer.seconds
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


def _task(spec: jobs.JobSpec, head: Head, registry: EncoderRegistry) -> Task:
    request, tower, attributes = spec.class_embeddings, None, None
    meaningless_NA = None
    if isinstance(request, jobs.NameEmbeddings):
        encoder = registry.get(request.encoder)
        tower = encoder.text_tower
        classes, meaningless = [*spec.head.class_names, *spec.add], random_words()
        embeddings_CA = encoders.encode_classes(
            encoder,
            [*jobs.names(classes), *meaningless],
            [*(entry.description for entry in classes), *(None for _ in meaningless)],
            request.templates,
            registry.cache,
        )
        counts = [head.class_count, len(spec.add), len(meaningless)]
        seen_SA, unseen_UA, meaningless_NA = torch.split(embeddings_CA, counts)
    else:
        seen_SA, unseen_UA = torch.tensor(request.seen), torch.tensor(request.unseen)
        attributes = attributes_of(request, registry.get, registry.cache)
    return Task(
        head,
        seen_SA,
        unseen_UA,
        jobs.names(spec.add),
        tower,
        attributes,
        meaningless_embeddings_NA=meaningless_NA,
    )


def _information(spec: jobs.JobSpec, registry: EncoderRegistry) -> ClassInformation:
    request = spec.class_embeddings
    if not isinstance(request, jobs.NameEmbeddings):
        return ClassInformation(from_names=False)
    return ClassInformation(
        from_names=True,
        reads_pictures=registry.get(request.encoder).info.kind == "open_clip",
        described=all(entry.description for entry in spec.add),
    )


def _needs_regions(parsed: AnyParsed | None) -> bool:
    return parsed is not None and "regions" in parsed.method.needs


def _write(
    spec: jobs.JobSpec, task: Task, solved: SolvedHead, source: Path, folder: Path
) -> WrittenPart:
    """Write the head's files; return what the report says of them."""
    if isinstance(solved, SemanticHead):
        return semantic_head.write(spec, solved, source, folder)
    if isinstance(solved, AttributeHead):
        assert task.regions is not None
        return attribute_head.write(spec, solved, task.regions, folder)
    assert isinstance(solved, SolvedRows)
    seen, unseen, target = solved.seen, solved.unseen, folder / HEAD_FILE
    checkpoint.write_extended(
        source,
        target,
        weight=spec.head.located.weight,
        bias=spec.head.located.bias,
        unseen=unseen,
        class_names=jobs.names([*spec.head.class_names, *spec.add]),
        replaced=None if seen is task.head else seen,
    )
    linear_head.write(inject(seen, unseen), task.head.class_count, folder)
    return data.describe_rows(spec, seen, unseen, source, target)
