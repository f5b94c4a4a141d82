"""Makes the documents that service and workers pass each other, sound, with fields of a test's."""

from collections.abc import Iterable
from typing import Any

from headgraft.service.schemas.injections import EventResource
from headgraft.workers.jobs.events import Event, StatusEvent
from headgraft.workers.jobs.manifest import Manifest
from headgraft.workers.jobs.spec import FeaturesRecord, HeadRecord, StoredFeatures, StoredHead
from headgraft.workers.jobs.summary import Summary

SHAPE = {"weight": "fc.weight", "bias": "fc.bias", "feature_size": 16, "dtype": "F32"}


def head_record(name: str = "head_1", owner: str = "ada", at: int = 1) -> HeadRecord:
    """Return the record of an uploaded checkpoint."""
    head = {
        "path": f"{owner}/uploads/{name}/checkpoint.safetensors",
        "sha256": "0",
        "bytes": 1,
        "tensors": {**SHAPE, "class_count": 1},
        "metric": "linear",
        "scale": 1.0,
        "class_names": ["cat"],
    }
    return HeadRecord(id=name, owner=owner, created_at=at, head=StoredHead.model_validate(head))


def features_record(name: str = "feat_1", owner: str = "ada") -> FeaturesRecord:
    """Return the record of an uploaded file of features."""
    features = StoredFeatures(
        path=f"{owner}/uploads/{name}/features.safetensors",
        sha256="0",
        bytes=1,
        count=1,
        feature_size=16,
        dtype="F32",
        label_dtype="I64",
        label_min=0,
        label_max=0,
        classes=1,
    )
    return FeaturesRecord(id=name, owner=owner, created_at=1, features=features)


def summary(**fields: Any) -> Summary:
    """Return what a record says of a request for `tests.checkpoints`' head."""
    head = {"id": None, "sha256": "0", "bytes": 1, "format": "safetensors", **SHAPE}
    document = {
        "method": "ridge",
        "settings": {},
        "class_embeddings": {"kind": "embeddings", "encoder": None},
        "seen_count": 20,
        "unseen_count": 3,
        "head": {**head, **fields.pop("head", {})},
        "features": None,
        **fields,
    }
    return Summary.model_validate(document)


def manifest(prefix: str = "p/", **fields: Any) -> Manifest:
    """Return what a run of that request left."""
    document = {
        "prefix": prefix,
        "files": {},
        "versions": {},
        "head": SHAPE,
        "method": "ridge",
        "settings": {},
        "estimate": None,
        "seconds": {"load": 0.25},
        "page": None,
        "encoder": None,
        **fields,
    }
    return Manifest.model_validate(document)


def statuses(events: Iterable[Event | EventResource]) -> list[str]:
    """Return the statuses that a job went through, after its events."""
    return [one.data.status for one in events if isinstance(one.data, StatusEvent)]
