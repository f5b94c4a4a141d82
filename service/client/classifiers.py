"""Finds the classifier of a torch network, writes it to a file, and grows it in its place.

torch is imported only here, and only when a network is given: the rest of the client needs none.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from headgraft.class_names import own_names, tell_names
from headgraft.errors import HeadgraftError
from headgraft.files import save_arrays
from headgraft.workers.formats.find_head import HeadTensors, find_head
from headgraft.workers.formats.header import Header, HeaderError, TensorEntry
from headgraft.workers.formats.stored_layers import class_axis

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

Network = TypeVar("Network", bound="Module")
# Under which names a layer keeps its weight: as it is, pruned, with weight norm.
WEIGHTS = ("weight", "weight_orig", "weight_v", "parametrizations.weight.original1", "kernel")
# Where layers and networks keep the number of classes.
COUNTS = (
    *("num_classes", "num_labels", "n_classes", "num_class", "nb_classes"),
    *("out_features", "out_channels"),
)
# An attribute of the first layer, and a metadata entry of the files of heads: pairs of numbers.
INJECTED = "injected_rows"


@dataclass(frozen=True)
class Classifier:
    """The last layer of a network, or several that it averages, and their classes.

    `layer` is the first; `owners` are the modules that hold the tensors which grow, by name.
    """

    network: "Module"
    layer: "Module"
    tensors: HeadTensors
    class_names: Sequence[str]
    owners: Mapping[str, "Module"]

    @property
    def is_one_layer(self) -> bool:
        """Tell whether all classes' rows read the features that come into `layer`."""
        return sum(not layer.is_copy for layer in self.tensors.all_layers) == 1

    def save(self, path: Path) -> None:
        """Write the head's tensors, and no others, to a safetensors file under their own names."""
        held = {name: _held(owner, name) for name, owner in self.owners.items()}
        save_arrays(path, held, {INJECTED: str(getattr(self.layer, INJECTED, []))})

    def grow(self, path: Path, added: Sequence[str]) -> None:
        """Take the tensors of a file that extends the head's own; HeadgraftError if it does not.

        The layers stay the same objects, on their devices; nothing is changed on an error.
        """
        from safetensors import safe_open

        count = len(self.class_names) + len(added)
        with safe_open(path, framework="pt") as file:
            grown = {
                name: _grown(name, _held(owner, name), file, self.tensors.axis(name), count)
                for name, owner in self.owners.items()
            }
        # One parameter may have two names.
        olds = {name: _held(owner, name) for name, owner in self.owners.items()}
        first = {id(old): grown[name] for name, old in reversed(olds.items())}
        for name, owner in self.owners.items():
            setattr(owner, _last(name), first[id(olds[name])])
        rows = [*getattr(self.layer, INJECTED, []), [len(self.class_names), count]]
        setattr(self.layer, INJECTED, rows)
        self._renew()
        self._rename([*self.class_names, *added])

    def _renew(self) -> None:
        """Compute again what weight norm computes of the tensors before every call."""
        for owner in self.owners.values():
            for hook in owner._forward_pre_hooks.values():
                if type(hook).__module__.startswith("torch.nn.utils."):
                    hook(owner, ())

    def _rename(self, names: Sequence[str]) -> None:
        """Say the new classes wherever torch, timm and transformers keep their number or names."""
        old = len(self.class_names)
        for module in self._holders():
            for field in COUNTS:
                if type(getattr(module, field, None)) is int and getattr(module, field) == old:
                    setattr(module, field, len(names))
            tell_names(module, names, len(names) - old)

    def _holders(self) -> "list[Module]":
        """Return the network, the layers that grow, and all modules between them."""
        paths = {""}
        for name in self.owners:
            parts = name.split(".")
            paths |= {".".join(parts[:count]) for count in range(1, len(parts))}
        return [self.network.get_submodule(path) for path in sorted(paths)]


def find_classifier(
    network: "Module",
    class_names: Sequence[str] | None,
    name: str | None,
    allow_ungrown: Sequence[str] = (),
) -> Classifier:
    """Find a network's classifier: the layer of that name, or the one timm says, or by shape.

    Without names, the classes are those that the network itself names. HeadgraftError lists the
    candidates where none fits, or two do.
    """
    class_names = class_names or own_names(network)
    header = _header(network)
    try:
        weight = _named_weight(header, name) if name else _hint(network, header, len(class_names))
        tensors = find_head(
            header, class_count=len(class_names), weight=weight, allow_ungrown=allow_ungrown
        )
        owners = {grown: _owner(network, grown) for grown in tensors.grown}
        _refuse_shared(network, owners)
    except HeaderError as error:
        detail = f"{type(network).__name__}: {error}".replace("the checkpoint", "the network")
        if getattr(network, "num_classes", None) == 0:
            detail = f"{type(network).__name__} has no classifier: its num_classes is 0"
        raise HeadgraftError(None, "invalid_head", detail) from error
    return Classifier(network, owners[tensors.weight], tensors, class_names, owners)


def _named_weight(header: Header, layer: str) -> str:
    names = [f"{layer}.{weight}".lstrip(".") for weight in WEIGHTS]
    return next((name for name in names if name in header.tensors), names[0])


def _hint(network: "Module", header: Header, class_count: int) -> str | None:
    """Return the weight of the layer that timm names; None where it is missing or of another size.

    Its size must be `class_count` rows.
    """
    named: Any = (getattr(network, "pretrained_cfg", None) or {}).get("classifier")
    layer = named[0] if isinstance(named, tuple | list) and named else named
    if not isinstance(layer, str):
        return None
    ends = tuple(f".{layer}.{weight}" for weight in WEIGHTS)
    fits = [
        name
        for name, entry in header.tensors.items()
        if f".{name}".endswith(ends) and class_axis(entry, class_count) == 0
    ]
    return fits[0] if len(fits) == 1 else None


def _owner(network: "Module", name: str) -> "Module":
    """Return the module that holds a tensor; HeaderError where growing it would not do."""
    import torch

    try:
        owner = network.get_submodule(name.rpartition(".")[0])
    except AttributeError as error:
        raise HeaderError(f"{name!r} is not the tensor of a layer: {error}") from error
    if _held(owner, name, None) is None:
        raise HeaderError(f"{name!r} is not the tensor of a layer")
    if isinstance(owner, torch.nn.Embedding):
        raise HeaderError(f"{name!r} is an embedding, not a classifier")
    if getattr(owner, "groups", 1) != 1:
        raise HeaderError(f"{name!r} is a convolution in groups, whose rows read different inputs")
    return owner


def _refuse_shared(network: "Module", owners: Mapping[str, "Module"]) -> None:
    """Raise HeaderError where a parameter that would grow is that of another layer, too."""
    grown = {id(_held(owner, name)): name for name, owner in owners.items()}
    for name, parameter in network.named_parameters(remove_duplicate=False):
        if id(parameter) in grown and name not in owners:
            raise HeaderError(
                f"{grown[id(parameter)]!r} is the same tensor as {name!r}: it cannot grow alone"
            )


def _header(network: "Module") -> Header:
    """Describe a network's tensors as the header of a checkpoint would; it has no bytes."""
    import torch

    entries = {
        name: TensorEntry(name, _dtype(tensor), tuple(tensor.shape), 0, 0)
        for name, tensor in network.state_dict().items()
        if isinstance(tensor, torch.Tensor)  # and no extra state
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


def _last(name: str) -> str:
    return name.rpartition(".")[2]


def _held(owner: "Module", name: str, *default: None) -> Any:
    return getattr(owner, _last(name), *default)


def _on_cpu(tensor: "Tensor") -> "Tensor":
    return tensor.detach().cpu().contiguous()


def _grown(name: str, old: Any, file: Any, axis: int, count: int) -> Any:
    """Return a network's tensor with the new entries of the file's along an axis behind its own."""
    import torch

    rows: Tensor = file.get_tensor(name) if name in file.keys() else torch.empty(0)  # noqa: SIM118
    seen = _on_cpu(old)
    wanted = [*seen.shape[:axis], count, *seen.shape[axis + 1 :]]
    fits = rows.dtype == seen.dtype and list(rows.shape) == wanted
    if not fits or _differ(rows.narrow(axis, 0, seen.shape[axis]), seen):
        detail = f"the {name} that came back does not hold the {seen.shape[axis]} rows it was sent"
        raise HeadgraftError(None, "corrupt_download", detail)
    # The old rows are the network's own, wherever they are; the new ones follow them there.
    new = rows.narrow(axis, seen.shape[axis], count - seen.shape[axis]).to(old.device)
    whole = torch.cat([old.detach(), new], dim=axis)
    if not isinstance(old, torch.nn.Parameter):
        return whole
    return torch.nn.Parameter(whole, requires_grad=old.requires_grad)


def _differ(left: "Tensor", right: "Tensor") -> bool:
    """Compare bytes: equal numbers may be other bits."""
    import torch

    left, right = left.contiguous(), right.contiguous()
    return not torch.equal(left.view(torch.uint8), right.view(torch.uint8))
