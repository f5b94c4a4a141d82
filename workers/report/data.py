"""The report of a run, as data: what was done, and the proof that old rows are untouched."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from torch import Tensor
from torch.nn.functional import normalize

from headgraft.models.heads.head import Head
from headgraft.workers.formats.find_head import HeadTensors
from headgraft.workers.formats.safetensors import read_header
from headgraft.workers.jobs import spec as jobs
from headgraft.workers.jobs.report import (
    Asked,
    Kind,
    NearRow,
    Report,
    RowNorms,
    SeenRows,
    WrittenPart,
)

NEAREST = 5


def describe_rows(
    spec: jobs.JobSpec, seen: Head, unseen: Head, source: Path, target: Path
) -> WrittenPart:
    """Say what was asked for, and what the extended checkpoint holds.

    `seen` is the head as delivered, whose rows may have taken the place of the uploaded ones.
    """
    tensors = spec.head.located
    written = describe(spec, "rows", seen, unseen)
    written.seen_rows = proof(tensors, source, target)
    written.class_sized_tensors = _class_sized(tensors, source)
    written.norms = _norms(seen, unseen)
    return written


def describe(spec: jobs.JobSpec, kind: Kind, seen: Head, unseen: Head) -> WrittenPart:
    """Say what was asked for, of which head, and which classes are near, whatever its kind."""
    written = WrittenPart(
        schema_version=1,
        asked=Asked(method=spec.method, settings=spec.settings),
        seen_count=len(spec.head.class_names),
        unseen_count=unseen.class_count,
        head=spec.head.shape,
        kind=kind,
        nearest_seen_classes=nearest(seen, unseen),
    )
    if spec.features:
        written.features = spec.features.counts
    return written


def as_json(report: Report) -> str:
    """Render a report; its numbers are finite."""
    document = report.model_dump(mode="json", exclude_unset=True)
    return json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False)


def proof(
    tensors: HeadTensors,
    source: Path,
    target: Path,
    renamed: Mapping[str, str] = MappingProxyType({}),
) -> SeenRows:
    """Hash the head's rows before and after; `renamed` maps what the target calls otherwise."""
    names = [tensors.weight, *([tensors.bias] if tensors.bias else [])]
    before = {name: _digest(source, name, tensors.class_count) for name in names}
    after = {name: _digest(target, renamed.get(name, name), tensors.class_count) for name in names}
    return SeenRows(sha256_before=before, sha256_after=after, bit_identical=before == after)


def _digest(path: Path, name: str, rows: int) -> str:
    """Hash the bytes of a tensor's first rows, read from the file itself."""
    with path.open("rb") as file:
        header, data_start = read_header(file)
        entry = header.tensors[name]
        file.seek(data_start + entry.start)
        return hashlib.sha256(
            file.read((entry.end - entry.start) // entry.shape[0] * rows)
        ).hexdigest()


def _class_sized(tensors: HeadTensors, source: Path) -> list[str]:
    """Name the other tensors with one row per class: they were not grown."""
    with source.open("rb") as file:
        header, _ = read_header(file)
    return [
        entry.name
        for entry in header.tensors.values()
        if entry.shape[:1] == (tensors.class_count,)
        and entry.name not in (tensors.weight, tensors.bias)
    ]


def _norms(seen: Head, unseen: Head) -> RowNorms:
    seen_S, unseen_U = seen.weight.float().norm(dim=1), unseen.weight.norm(dim=1)
    return RowNorms(
        seen_mean=float(seen_S.mean()),
        seen_min=float(seen_S.min()),
        seen_max=float(seen_S.max()),
        unseen=dict(zip(unseen.class_names, unseen_U.tolist(), strict=True)),
    )


def nearest(seen: Head, unseen: Head) -> dict[str, list[NearRow]]:
    """Per unseen class the seen classes whose rows, centred on the mean row, point its way."""
    mean_D = seen.weight.float().mean(dim=0)
    cosine_US = _unit(unseen.weight - mean_D) @ _unit(seen.weight.float() - mean_D).T
    best = cosine_US.topk(min(NEAREST, seen.class_count), dim=1)
    return {
        name: [
            NearRow(class_name=seen.class_names[index], cosine=round(cosine, 4))
            for cosine, index in zip(cosines, indices, strict=True)
        ]
        for name, cosines, indices in zip(
            unseen.class_names, best.values.tolist(), best.indices.tolist(), strict=True
        )
    }


def _unit(rows_CD: Tensor) -> Tensor:
    return normalize(rows_CD, dim=1)
