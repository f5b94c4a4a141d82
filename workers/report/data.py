"""The report of a run, as data: what was done, and the proof that old rows are untouched."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from torch import Tensor
from torch.nn.functional import normalize

from headgraft.models.heads.head import Head
from headgraft.workers.formats.find_head import HeadTensors
from headgraft.workers.formats.safetensors import read_header
from headgraft.workers.jobs import spec as jobs

NEAREST = 5


def describe(
    spec: jobs.JobSpec, seen: Head, unseen: Head, source: Path, target: Path
) -> dict[str, Any]:
    """Gather the report of a finished injection; sizes of norms are those of rows without bias.

    `seen` is the head as delivered, whose rows may have taken the place of the uploaded ones.
    """
    tensors = spec.head.located
    return {
        **asked(spec, unseen.class_count),
        "kind": "rows",
        "seen_rows": proof(tensors, source, target),
        "class_sized_tensors": _class_sized(tensors, source),
        "norms": _norms(seen, unseen),
        "nearest_seen_classes": nearest(seen, unseen),
    }


def asked(spec: jobs.JobSpec, unseen_count: int) -> dict[str, Any]:
    """Say what was asked for, of which head."""
    return {
        "schema": 1,
        "asked": {"method": spec.method, "settings": spec.settings},
        "seen_count": len(spec.head.class_names),
        "unseen_count": unseen_count,
        "head": spec.head.known(),
    }


def as_json(document: dict[str, Any]) -> str:
    """Render a report; its numbers are finite."""
    return json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False)


def proof(
    tensors: HeadTensors,
    source: Path,
    target: Path,
    renamed: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, Any]:
    """Hash the head's rows before and after; `renamed` maps what the target calls otherwise."""
    names = [tensors.weight, *([tensors.bias] if tensors.bias else [])]
    before = {name: _digest(source, name, tensors.class_count) for name in names}
    after = {name: _digest(target, renamed.get(name, name), tensors.class_count) for name in names}
    return {"sha256_before": before, "sha256_after": after, "bit_identical": before == after}


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


def _norms(seen: Head, unseen: Head) -> dict[str, Any]:
    seen_S, unseen_U = seen.weight.float().norm(dim=1), unseen.weight.norm(dim=1)
    return {
        "seen_mean": float(seen_S.mean()),
        "seen_min": float(seen_S.min()),
        "seen_max": float(seen_S.max()),
        "unseen": dict(zip(unseen.class_names, unseen_U.tolist(), strict=True)),
    }


def nearest(seen: Head, unseen: Head) -> dict[str, list[dict[str, Any]]]:
    """Per unseen class the seen classes whose rows, centred on the mean row, point its way."""
    mean_D = seen.weight.float().mean(dim=0)
    cosine_US = _unit(unseen.weight - mean_D) @ _unit(seen.weight.float() - mean_D).T
    best = cosine_US.topk(min(NEAREST, seen.class_count), dim=1)
    return {
        name: [
            {"class": seen.class_names[index], "cosine": round(cosine, 4)}
            for cosine, index in zip(cosines, indices, strict=True)
        ]
        for name, cosines, indices in zip(
            unseen.class_names, best.values.tolist(), best.indices.tolist(), strict=True
        )
    }


def _unit(rows_CD: Tensor) -> Tensor:
    return normalize(rows_CD, dim=1)
