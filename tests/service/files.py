"""Writes safetensors files byte by byte, sound and broken, and the requests that go with them."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import numpy as np

SEEN = 20
FEATURES = 16
Tensors = Mapping[str, tuple[str, Sequence[int], bytes]]
NUMPY: dict[str, type[np.floating[Any]]] = {"F16": np.float16, "F32": np.float32, "F64": np.float64}


def numbers(
    shape: Sequence[int], dtype: str = "F32", bad: tuple[int, float] | None = None
) -> bytes:
    """Return random numbers as bytes; `bad` puts a value at a flat index."""
    values = np.random.default_rng(7).normal(size=shape)
    if bad is not None:
        values.flat[bad[0]] = bad[1]
    if dtype == "BF16":
        return (values.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16).tobytes()
    return values.astype(NUMPY[dtype]).tobytes()


def head_tensors(
    dtype: str = "F32",
    *,
    seen: int = SEEN,
    bad_weight: tuple[int, float] | None = None,
    bad_bias: tuple[int, float] | None = None,
) -> dict[str, tuple[str, Sequence[int], bytes]]:
    """Return a backbone tensor and a head around it."""
    return {
        "conv.weight": ("F32", (3, 5, 7), numbers((3, 5, 7))),
        "fc.weight": (dtype, (seen, FEATURES), numbers((seen, FEATURES), dtype, bad_weight)),
        "fc.bias": (dtype, (seen,), numbers((seen,), dtype, bad_bias)),
    }


def checkpoint(tensors: Tensors | None = None, metadata: Mapping[str, str] | None = None) -> bytes:
    """Return a safetensors file, its tensors in the order given."""
    header: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    data = b""
    for name, (dtype, shape, content) in (tensors or head_tensors()).items():
        end = len(data) + len(content)
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [len(data), end]}
        data += content
    raw = json.dumps(header).encode()
    return len(raw).to_bytes(8, "little") + raw + data


def class_names(count: int = SEEN, prefix: str = "class") -> list[str]:
    """Return distinct class names."""
    return [f"{prefix} {number}" for number in range(count)]


def vectors(seen: int = SEEN, unseen: int = 3, size: int = 4) -> dict[str, Any]:
    """Return class embeddings as a request carries them."""
    draw = np.random.default_rng(11).normal
    return {
        "kind": "embeddings",
        "seen": draw(size=(seen, size)).tolist(),
        "unseen": draw(size=(unseen, size)).tolist(),
    }


def injection(**fields: Any) -> dict[str, Any]:
    """Return a request for `checkpoint()`; a field given as None is left out."""
    document = {
        "class_names": class_names(),
        "add": class_names(3, "new"),
        "method": "ridge",
        **fields,
    }
    return {name: value for name, value in document.items() if value is not None}


def parts(request: object, file: bytes | None, *, file_first: bool = False) -> Any:
    """Return the parts of a submission as httpx takes them."""
    sent: list[tuple[str, tuple[str | None, bytes, str]]] = []
    if request is not None:
        raw = request if isinstance(request, bytes) else json.dumps(request).encode()
        sent.append(("request", (None, raw, "application/json")))
    if file is not None:
        sent.append(("checkpoint", ("m.safetensors", file, "application/octet-stream")))
    return sent[::-1] if file_first else sent


def submit(
    client: httpx.Client,
    request: object = None,
    file: bytes | None = None,
    *,
    file_first: bool = False,
    to: str = "/v1/injections",
) -> httpx.Response:
    """POST a submission: a sound one, but for what is given."""
    request = injection() if request is None else request
    file = checkpoint() if file is None else file
    return client.post(to, files=parts(request, file, file_first=file_first))


def problem(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """Return an error's document after checking that it is a complete one."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = response.json()
    assert document["code"] == code
    assert document["status"] == status
    assert document["request_id"] == response.headers["x-request-id"]
    return document


def pointers(document: Mapping[str, Any]) -> list[str]:
    """Return where an error's document points."""
    return [one["pointer"] for one in document["errors"]]


def stored(folder: Path) -> list[Path]:
    """Return the files in a store's folder, finished or not."""
    return [path for path in folder.rglob("*") if path.is_file()]
