"""Writes files of labelled features byte by byte, sound and broken, and sends them."""

from collections.abc import Sequence

import httpx
import numpy as np

from tests.service.files import FEATURES, SEEN, Tensors, checkpoint, numbers

EACH = 3


def labels(values: Sequence[int], dtype: str = "I64") -> tuple[str, Sequence[int], bytes]:
    """Return a labels tensor."""
    kind = "i" if dtype[0] == "I" else "u"
    array = np.array(values, np.dtype(f"<{kind}{int(dtype[1:]) // 8}"))
    return dtype, (len(values),), array.tobytes()


def pictures(
    count: int = SEEN * EACH, size: int = FEATURES, dtype: str = "F32", bad: int | None = None
) -> tuple[str, Sequence[int], bytes]:
    """Return a features tensor; `bad` puts a NaN at a flat index."""
    place = None if bad is None else (bad, float("nan"))
    return dtype, (count, size), numbers((count, size), dtype, place)


def feature_tensors(size: int = FEATURES, classes: int = SEEN) -> Tensors:
    """Return EACH pictures of every class of the test head."""
    values = [number % classes for number in range(classes * EACH)]
    return {"features": pictures(len(values), size), "labels": labels(values)}


def send(client: httpx.Client, file: bytes | None = None) -> httpx.Response:
    """POST a file of features: a sound one, but for what is given."""
    content = checkpoint(feature_tensors()) if file is None else file
    part = ("f.safetensors", content, "application/octet-stream")
    return client.post("/v1/features", files={"features": part})


def upload(client: httpx.Client, tensors: Tensors | None = None) -> str:
    """Upload features and return their id."""
    response = send(client, checkpoint(tensors or feature_tensors()))
    assert response.status_code == 201, response.text
    return str(response.json()["id"])
