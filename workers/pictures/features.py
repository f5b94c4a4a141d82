"""Writes what a network sees in a folder of pictures as a file that `POST /v1/features` takes."""

import json
import textwrap
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import prod
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, BinaryIO, Literal

import numpy as np
import torch
from PIL.Image import Image
from rich.console import Console
from rich.progress import track
from safetensors import SafetensorError
from torch import Tensor, nn

from headgraft.models.embeddings.torchvision_ops import import_torchvision
from headgraft.models.heads.checkpoint import METADATA, NAMES, write_header
from headgraft.workers.pictures.backbone import Backbone
from headgraft.workers.pictures.folder import (
    PictureFolder,
    find_pictures,
    open_picture,
    picture_error,
)

Dtype = Literal["float16", "float32"]
Transform = Callable[[Image], Tensor]
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
RESIZED, CROPPED = 256, 224
# What a file can be that holds no state dict of the network, or none at all.
UNREADABLE = (
    RuntimeError,
    OSError,
    ValueError,
    TypeError,
    AttributeError,
    EOFError,
    UnpicklingError,
    SafetensorError,
)
REASON_MAX = 300


@dataclass(frozen=True)
class Written:
    """The shape (N, D) or (N, D, ...) of the features in a file, and the classes labels count.

    There are no classes where there are no labels; `passed_over` counts pictures left out.
    """

    shape: tuple[int, ...]
    class_names: tuple[str, ...]
    passed_over: int


def write_features(
    network: nn.Module,
    folder: Path,
    target: Path,
    *,
    regions: bool = False,
    layer: str | None = None,
    class_names: Sequence[str] | None = None,
    unlabelled: bool = False,
    generic: bool = False,
    transform: Transform | None = None,
    batch_size: int = 32,
    dtype: Dtype | None = None,
    device: str | torch.device | None = None,
    progress: bool = False,
) -> Written:
    """Run a network over a folder of pictures, and write what it sees as `target`.

    Pooled, as its last layer reads it, in float32; or with `regions`, the output of `layer` or of
    the last that gives a map, in float16. Labels count `class_names`, a head's in row order, else
    the names of the class folders; where there are none, or if `unlabelled`, no labels are written,
    and `generic` says that the pictures show anything at all. `transform` makes of a picture what
    the network reads, by default as for ImageNet. It runs on the GPU if there is one.
    InjectionError for what does not fit, naming it; `target` is there whole or not at all.
    """
    pictures = find_pictures(folder, class_names, unlabelled=unlabelled)
    if generic and pictures.labels is not None:
        raise picture_error(
            f"{folder} has a folder for each of {len(set(pictures.labels))} classes, so its "
            "pictures are not generic: leave generic out, or say that they are unlabelled"
        )
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    backbone = Backbone(network.to(device), layer)
    look = backbone.regions if regions else backbone.pooled
    batches = _batches(pictures, transform or imagenet, batch_size)
    steps = -(-len(pictures.paths) // batch_size)
    shown = track(batches, "pictures", steps, console=Console(stderr=True), disable=not progress)
    stored = dtype or ("float16" if regions else "float32")
    seen = (look(batch.to(device)) for batch in shown)
    part = target.with_name(f".{target.name}.{uuid.uuid4().hex}.part")
    try:
        with part.open("xb") as file:
            shape = _write(file, seen, pictures, stored, {"generic": "true"} if generic else {})
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    return Written(shape, pictures.class_names, pictures.passed_over)


def imagenet(picture: Image) -> Tensor:
    """Make of a picture what networks for ImageNet read: (3, 224, 224), its middle, normalised."""
    scale = RESIZED / min(picture.size)
    size = (round(picture.width * scale), round(picture.height * scale))
    left, top = ((side - CROPPED) // 2 for side in size)
    middle = picture.resize(size).crop((left, top, left + CROPPED, top + CROPPED))
    pixels_HW3 = torch.from_numpy(np.array(middle, np.float32)) / 255
    return ((pixels_HW3 - torch.tensor(MEAN)) / torch.tensor(DEVIATION)).permute(2, 0, 1)


def timm_network(name: str, weights: Path | None) -> tuple[nn.Module, Transform]:
    """Build one of timm's networks, with weights from a file, and how it wants its pictures.

    It has as many classes as the classifier in the file. InjectionError for a name that timm does
    not have, or weights that are another network's.
    """
    import_torchvision()  # timm imports it
    import timm
    from timm.data import config, transforms_factory

    if not timm.is_model(name):
        near = ", ".join(timm.list_models(f"*{name}*")[:8]) or "see timm.list_models()"
        raise picture_error(f"timm has no network {name!r}; it has {near}")
    network = _with_weights(name, weights) if weights else timm.create_model(name)
    wanted = config.resolve_data_config({}, model=network)  # type: ignore[no-untyped-call] # timm's
    return network, transforms_factory.create_transform(**wanted)


def _with_weights(name: str, weights: Path) -> nn.Module:
    import timm
    from timm.models import load_state_dict

    if not weights.is_file():
        raise picture_error(f"there is no file of weights {weights}")
    try:
        tensors = load_state_dict(str(weights))
        network: nn.Module = timm.create_model(name, num_classes=_class_count(name, tensors))
        network.load_state_dict(tensors)
    except UNREADABLE as error:
        reason = textwrap.shorten(str(error), REASON_MAX)
        raise picture_error(f"{weights} holds no weights of {name!r}: {reason}") from error
    return network


def _class_count(name: str, tensors: Mapping[str, Tensor]) -> int:
    """Return how many rows the classifier has among a network's tensors; 0 where there is none."""
    import timm

    layers = getattr(timm.get_pretrained_cfg(name), "classifier", None) or ()
    for layer in (layers,) if isinstance(layers, str) else layers:
        if f"{layer}.weight" in tensors:
            return len(tensors[f"{layer}.weight"])
    return 0


def _batches(pictures: PictureFolder, transform: Transform, size: int) -> Iterator[Tensor]:
    # Threads, since PIL decodes without the interpreter's lock.
    with ThreadPoolExecutor() as threads:
        for start in range(0, len(pictures.paths), size):
            opened = threads.map(open_picture, pictures.paths[start : start + size])
            yield torch.stack([transform(picture) for picture in opened])


def _write(
    file: BinaryIO,
    seen: Iterator[Tensor],
    pictures: PictureFolder,
    dtype: Dtype,
    metadata: dict[str, str],
) -> tuple[int, ...]:
    """Write batches as they come; the header, which tells the shape, once the first is there."""
    shape: tuple[int, ...] = ()
    for features in seen:
        if not shape:
            shape = (len(pictures.paths), *features.shape[1:])
            write_header(file, _header(shape, pictures, dtype, metadata))
        if not torch.isfinite(features.to(getattr(torch, dtype))).all():
            raise picture_error(f"a feature is NaN, or too large for {dtype}")
        file.write(features.cpu().numpy().astype(_stored(dtype)).tobytes())
    if pictures.labels is not None:
        file.write(np.array(pictures.labels, "<i8").tobytes())
    return shape


def _header(
    shape: tuple[int, ...], pictures: PictureFolder, dtype: Dtype, metadata: dict[str, str]
) -> dict[str, Any]:
    name, count = NAMES[getattr(torch, dtype)], shape[0]
    size = prod(shape) * _stored(dtype).itemsize
    features = {"dtype": name, "shape": shape, "data_offsets": [0, size]}
    if pictures.labels is None:
        return {METADATA: metadata, "features": features}
    names = json.dumps(pictures.class_names, ensure_ascii=False)
    return {
        METADATA: {"class_names": names, **metadata},
        "features": features,
        "labels": {"dtype": "I64", "shape": [count], "data_offsets": [size, size + 8 * count]},
    }


def _stored(dtype: Dtype) -> "np.dtype[Any]":
    return np.dtype(dtype).newbyteorder("<")
