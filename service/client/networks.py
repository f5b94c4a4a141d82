"""Sends the last linear layer of a torch module through an injection, and puts back the result.

torch is imported only here, and only when a network is given: the rest of the client needs none.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, TypeVar

from headgraft.arguments import Entry, InjectionOptions
from headgraft.calls import Calls, OnProgress
from headgraft.errors import HeadgraftError
from headgraft.files import save_arrays
from headgraft.workers.formats.find_head import HeadTensors, find_head
from headgraft.workers.formats.header import Header, HeaderError, TensorEntry

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module


Network = TypeVar("Network", bound="Module")
WEIGHT, BIAS = "weight", "bias"
# What transformers calls a class of which it knows no name.
NAMELESS = re.compile(r"LABEL_\d+")


@dataclass(frozen=True)
class Classifier:
    """The last layer of a network, where its checkpoint would have it, and its classes."""

    network: "Module"
    layer: "Module"
    tensors: HeadTensors
    class_names: Sequence[str]

    def save(self, path: Path) -> None:
        """Write the layer's tensors, and no others, to a safetensors file under their own names."""
        save_arrays(path, self._named())

    def grow(self, path: Path, added: Sequence[str]) -> None:
        """Take the rows of a state dict that extends the layer's own; HeadgraftError if not.

        The layer stays the same object, on its device; nothing of it is changed on an error.
        """
        import torch

        read = torch.load(path, weights_only=True)
        count = len(self.class_names) + len(added)
        grown = {
            name: _grown(name, getattr(self.layer, name), rows, count)
            for name, rows in read.items()
        }
        for name, parameter in grown.items():
            setattr(self.layer, name, parameter)
        self._rename([*self.class_names, *added])

    def _named(self) -> dict[str, "Tensor"]:
        parts = {self.tensors.weight: WEIGHT, self.tensors.bias: BIAS}
        return {name: getattr(self.layer, part) for name, part in parts.items() if name}

    def _rename(self, names: Sequence[str]) -> None:
        """Say the new classes wherever torch, timm and transformers keep their number or names."""
        old = len(self.class_names)
        for owner, field in (
            (self.layer, "out_features"),
            (self.network, "num_classes"),
            (self.network, "num_labels"),
        ):
            if getattr(owner, field, None) == old:
                setattr(owner, field, len(names))
        config: Any = getattr(self.network, "config", None)
        if getattr(config, "id2label", None):
            config.id2label = dict(enumerate(names))
            config.label2id = {name: index for index, name in enumerate(names)}


def find_classifier(
    network: "Module", class_names: Sequence[str] | None, name: str | None
) -> Classifier:
    """Find a network's classifier: the layer of that name, or the one timm says, or by shape.

    Without names, the classes are those of the network's own `config`. HeadgraftError lists the
    candidates where none fits, or two do.
    """
    class_names = class_names or _own_names(network)
    wanted = name or _timm_name(network)
    try:
        tensors = find_head(
            _header(network.state_dict()),
            class_count=len(class_names),
            weight=wanted and f"{wanted}.{WEIGHT}",
        )
        path = tensors.weight.removesuffix(WEIGHT).rstrip(".")
        layer = network.get_submodule(path)
        if getattr(layer, WEIGHT, None) is None:
            raise HeaderError(f"{tensors.weight!r} is not the weight of a layer")
    except (HeaderError, AttributeError) as error:
        detail = f"{type(network).__name__}: {error}".replace("the checkpoint", "the network")
        raise HeadgraftError(None, "invalid_head", detail) from error
    return Classifier(network, layer, tensors, class_names)


def _own_names(network: "Module") -> list[str]:
    labels = getattr(getattr(network, "config", None), "id2label", None) or {}
    names = [str(labels[index]) for index in sorted(labels)]
    if not names or any(NAMELESS.fullmatch(name) for name in names):
        detail = (
            f"{type(network).__name__} does not name its classes: give class_names, in row order"
        )
        raise HeadgraftError(None, "invalid_head", detail)
    return names


def _timm_name(network: "Module") -> str | None:
    name = (getattr(network, "pretrained_cfg", None) or {}).get("classifier")
    return name if isinstance(name, str) else None


def _header(tensors: Mapping[str, "Tensor"]) -> Header:
    """Describe tensors as the header of a checkpoint would; it has no bytes."""
    entries = {
        name: TensorEntry(name, _dtype(tensor), tuple(tensor.shape), 0, 0)
        for name, tensor in tensors.items()
    }
    return Header(entries, {}, 0)


def _dtype(tensor: "Tensor") -> str:
    import torch

    names = {
        torch.float16: "F16",
        torch.bfloat16: "BF16",
        torch.float32: "F32",
        torch.float64: "F64",
    }
    return names.get(tensor.dtype, str(tensor.dtype))


def _on_cpu(tensor: "Tensor") -> "Tensor":
    return tensor.detach().cpu().contiguous()


def _grown(name: str, old: Any, rows: "Tensor", count: int) -> Any:
    import torch

    seen = _on_cpu(old)
    first = rows[: len(seen)]
    if rows.dtype != seen.dtype or rows.shape != (count, *seen.shape[1:]) or _differ(first, seen):
        detail = f"the {name} that came back does not hold the {len(seen)} rows that were sent"
        raise HeadgraftError(None, "corrupt_download", detail)
    # The old rows are the network's own, wherever they are; the new ones follow them there.
    whole = torch.cat([old.detach(), rows[len(seen) :].to(old.device)])
    return torch.nn.Parameter(whole, requires_grad=old.requires_grad)


def _differ(left: "Tensor", right: "Tensor") -> bool:
    """Compare bytes: equal numbers may be other bits."""
    import torch

    return not torch.equal(left.view(torch.uint8), right.view(torch.uint8))


async def inject(
    calls: Calls,
    network: Network,
    add: Sequence[Entry],
    classifier: str | None,
    on_progress: OnProgress | None,
    options: InjectionOptions,
) -> Network:
    """Add classes to a torch network's classifier, in place, and return the network.

    Of the network only the classifier is sent: the layer named `classifier`, or the one that is
    found. `class_names` are its classes in row order, unless its `config` names them. Its old rows
    stay as they are, bit for bit. HeadgraftError, and nothing changed, where it cannot be done.
    """
    given = options.get("class_names")
    found = find_classifier(network, [name_of(one) for one in given] if given else None, classifier)
    head = {
        **(options.get("head") or {}),
        "weight": found.tensors.weight,
        "bias": found.tensors.bias,
    }
    options = {**options, "class_names": given or found.class_names, "head": head}
    with TemporaryDirectory(prefix="headgraft-") as scratch:
        sent, back = Path(scratch) / "head.safetensors", Path(scratch) / "head.pt"
        found.save(sent)
        injection = await calls.submit(sent, add, **options)
        await calls.result(injection.id, on_progress)
        found.grow(await calls.download(injection.id, back, "pt"), [name_of(one) for one in add])
    return network


def name_of(entry: Entry) -> str:
    """Return the bare name of a class."""
    return entry if isinstance(entry, str) else entry["name"]
