"""Builds networks of timm by name, with the weights of a file, and downloads nothing."""

import textwrap
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from pickle import UnpicklingError

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from headgraft.models.embeddings.torchvision_ops import import_torchvision
from headgraft.workers.formats.safetensors import read_header
from headgraft.workers.pictures.folder import picture_error
from headgraft.workers.pictures.preprocessing import Transform, timm_preprocessing

NEAR = 8
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


def timm_network(name: str, weights: Path | None) -> tuple[nn.Module, Transform]:
    """Build one of timm's networks, with weights from a file, and how it wants its pictures.

    It has as many classes as the classifier in the file. InjectionError for a name that timm does
    not have, or weights that are another network's.
    """
    _check_name(name)
    import timm

    network = _with_weights(name, weights) if weights else timm.create_model(name)
    return network, timm_preprocessing(network)


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


def network_of_checkpoint(name: str, checkpoint: Path, class_count: int) -> nn.Module:
    """Build one of timm's networks with `class_count` classes, of a safetensors file's tensors.

    InjectionError for a name that timm does not have, or where file and network differ in a
    tensor's name or shape; the first such is named. They are compared before memory is taken.
    """
    _check_name(name)
    with torch.device("meta"):
        planned = _built(name, class_count)
    _check_shapes(name, _shapes(planned), checkpoint)
    network = _built(name, class_count)
    network.load_state_dict(load_file(checkpoint), strict=True)
    return network


def classifiers(network: nn.Module) -> set[nn.Module]:
    """Return what a network of timm calls its classifier, which may be two, and their layers."""
    find = getattr(network, "get_classifier", None)
    found = find() if find else None
    several = found if isinstance(found, tuple | list) else [found]
    return {part for one in several if isinstance(one, nn.Module) for part in one.modules()}


def _check_name(name: str) -> None:
    try:
        import_torchvision()  # timm imports it
        import timm
    except ImportError as error:
        raise picture_error("timm is not installed here") from error

    has_tag = "." in name
    known = timm.list_models(include_tags=has_tag)
    # A name without a tag may be an old one, which timm still builds and no longer lists.
    if name not in known and (has_tag or not timm.is_model(name)):
        near = ", ".join(get_close_matches(name, known, NEAR, 0.5))
        raise picture_error(f"timm has no network {name!r}; it has {near or 'none like it'}")


def _built(name: str, class_count: int) -> nn.Module:
    import timm

    try:
        network: nn.Module = timm.create_model(name, pretrained=False, num_classes=class_count)
    except (RuntimeError, ValueError, TypeError, NotImplementedError) as error:
        raise picture_error(f"timm cannot build {name!r}: {error}") from error
    return network


def _shapes(network: nn.Module) -> dict[str, tuple[int, ...]]:
    return {key: tuple(tensor.shape) for key, tensor in network.state_dict().items()}


def _check_shapes(name: str, wanted: dict[str, tuple[int, ...]], checkpoint: Path) -> None:
    with checkpoint.open("rb") as file:
        header, _ = read_header(file)
    given = {key: entry.shape for key, entry in header.tensors.items()}
    missing = next((key for key in wanted if key not in given), None)
    if missing:
        raise picture_error(f"the checkpoint has no tensor {missing!r}, which {name!r} has")
    strange = next((key for key in given if key not in wanted), None)
    if strange:
        raise picture_error(f"{name!r} has no tensor {strange!r}, which the checkpoint has")
    for key, shape in wanted.items():
        if given[key] != shape:
            raise picture_error(
                f"tensor {key!r} has shape {given[key]} in the checkpoint, {shape} in {name!r}"
            )
