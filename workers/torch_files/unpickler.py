"""Reads the pickle in a torch file without running any code of it.

A pickle names functions and classes and says what to call them with. Here no name is ever looked
up: a few, those that make tensors and plain containers, stand for functions below, and whatever
the others would make is an `Opaque`.
"""

import pickle
from collections.abc import Callable, Mapping
from io import BufferedIOBase
from types import SimpleNamespace
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.storage import TypedStorage

# Written for every object of a class; the class is the first argument.
RECONSTRUCTORS = ("copy_reg._reconstructor", "copyreg._reconstructor", "copyreg.__newobj__")
# Not by getattr, which imports whatever torch has under a name.
DTYPES = {name: value for name, value in vars(torch).items() if isinstance(value, torch.dtype)}
REBUILDERS = "torch._utils._rebuild"


class Opaque:
    """Something that is not read, by the name of what would make it."""

    def __init__(self, name: str) -> None:
        self.name = name


class Named:
    """A function or a class of a pickle, by its name alone."""

    def __init__(self, name: str) -> None:
        self.name = name


def call(function: object, arguments: object) -> object:
    """Return what a pickle's function makes of its arguments, Opaque where that is not read."""
    if not isinstance(function, Named) or not isinstance(arguments, tuple):
        return Opaque(_shown(function))
    if function.name in RECONSTRUCTORS and arguments:
        return call(arguments[0], ())
    maker = MAKERS.get(function.name)
    return maker(*arguments) if maker else Opaque(function.name)


def _tensor(storage: object, offset: int, size: Any, stride: Any, *more: object) -> Tensor:
    """Make a tensor; `more` is whether it requires a gradient, hooks, and its metadata."""
    numbers = _numbers(storage)
    made = torch.empty((0,), dtype=numbers.dtype)
    made.set_(numbers._untyped_storage, offset, size, stride)
    return _marked(made, more[2:])


def _tensor_of_dtype(
    storage: object, offset: int, size: Any, stride: Any, _grad: object, _hooks: object, *more: Any
) -> Tensor:
    """Make a tensor of a dtype that has no storage class of its own."""
    made = torch.empty((0,), dtype=more[0])
    made.set_(_numbers(storage)._untyped_storage, offset, size, stride)
    return _marked(made, more[1:])


def _numbers(storage: object) -> TypedStorage:
    if not isinstance(storage, TypedStorage):
        raise pickle.UnpicklingError("a tensor lacks its numbers")
    return storage


def _marked(tensor: Tensor, metadata: tuple[object, ...]) -> Tensor:
    """Return a tensor as the lazy conjugate or negative that its metadata say it is."""
    for marks in metadata:
        if isinstance(marks, dict):
            tensor = tensor.conj() if marks.get("conj") else tensor
            tensor = torch._neg_view(tensor) if marks.get("neg") else tensor
    return tensor


def _parameter(tensor: object, *_more: object) -> Tensor:
    if not isinstance(tensor, Tensor):
        raise pickle.UnpicklingError("a parameter lacks its tensor")
    return tensor


def _of_subclass(function: object, _kind: object, arguments: object, *_state: object) -> object:
    return call(function, arguments)


def _dict(*arguments: object) -> dict[Any, object]:
    """Make a dict of a dict, or of pairs; a pickle mostly fills an empty one afterwards."""
    pairs: Any = arguments[0] if arguments else ()
    pairs = pairs.items() if isinstance(pairs, Mapping) else pairs
    made: dict[Any, object] = {}
    for pair in () if isinstance(pairs, Named | None) else pairs:
        _set_item(made, *pair)
    return made


MAKERS: dict[str, Callable[..., object]] = {
    f"{REBUILDERS}_tensor": _tensor,
    f"{REBUILDERS}_tensor_v2": _tensor,
    f"{REBUILDERS}_tensor_v3": _tensor_of_dtype,
    f"{REBUILDERS}_parameter": _parameter,
    f"{REBUILDERS}_parameter_with_state": _parameter,
    "torch.nn.parameter.Parameter": _parameter,
    "torch._tensor._rebuild_from_type_v2": _of_subclass,
    "collections.OrderedDict": _dict,
    "collections.defaultdict": _dict,
    "builtins.dict": _dict,
    "__builtin__.dict": _dict,
}


def _shown(value: object) -> str:
    return value.name if isinstance(value, Opaque | Named) else type(value).__name__


def _set_item(target: object, key: object, value: object) -> None:
    if isinstance(target, dict):
        # Whatever a file made up as a key could take for ever to hash.
        plain = isinstance(key, str | bytes | int | float | None)
        target[key if plain else Opaque(_shown(key))] = value


class RestrictedUnpickler(pickle._Unpickler):
    """Executes a pickle's program on plain data; every operation that could run code is ours."""

    dispatch: ClassVar[dict[int, Any]] = dict(pickle._Unpickler.dispatch)
    # What pickle._Unpickler has, and its stubs lack.
    stack: list[Any]
    append: Callable[[Any], None]
    pop_mark: Callable[[], list[Any]]
    readline: Callable[[], bytes]

    def find_class(self, module: str, name: str) -> Any:
        """Return a dtype, the class of storages, or else the name."""
        if module in ("torch", "torch.storage") and name == "UntypedStorage":
            return torch.UntypedStorage
        named = Named(f"{module}.{name}")
        return DTYPES.get(name, named) if module == "torch" else named

    def _call(self) -> None:
        arguments = self.stack.pop()
        self.stack[-1] = call(self.stack[-1], arguments)

    def _call_with_keywords(self) -> None:
        self.stack.pop()
        self._call()

    def _call_from_mark(self) -> None:
        function, *arguments = self.pop_mark()
        self.append(call(function, tuple(arguments)))

    def _call_by_name(self) -> None:
        module, name = (self.readline()[:-1].decode() for _ in range(2))
        self.append(call(self.find_class(module, name), tuple(self.pop_mark())))

    def _build(self) -> None:
        self.stack.pop()

    def _append(self) -> None:
        value = self.stack.pop()
        self._extend_by([value])

    def _extend(self) -> None:
        self._extend_by(self.pop_mark())

    def _extend_by(self, items: list[Any]) -> None:
        if isinstance(self.stack[-1], list):
            self.stack[-1].extend(items)

    def _set_item(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        _set_item(self.stack[-1], key, value)

    def _set_items(self) -> None:
        items = self.pop_mark()
        self._set_pairs(self.stack[-1], items)

    def _set_pairs(self, target: object, items: list[Any]) -> None:
        for key, value in zip(items[::2], items[1::2], strict=True):
            _set_item(target, key, value)

    def _dict(self) -> None:
        items = self.pop_mark()
        self.append({})
        self._set_pairs(self.stack[-1], items)

    def _list(self) -> None:
        self.append([])

    def _frozen(self) -> None:
        self.append(self.pop_mark())

    def _persistent(self) -> None:
        """Return a storage, by what torch set as `persistent_load`; of a module its name."""
        key = self.stack.pop()
        is_module = isinstance(key, tuple) and len(key) > 1 and key[0] in ("module", b"module")
        self.append(key[1] if is_module else self.persistent_load(key))

    def _refuse(self) -> None:
        raise pickle.UnpicklingError("it holds an operation that torch never writes")


def _override() -> None:
    own = RestrictedUnpickler
    for operations, handler in (
        ((pickle.REDUCE, pickle.NEWOBJ), own._call),
        ((pickle.NEWOBJ_EX,), own._call_with_keywords),
        ((pickle.OBJ,), own._call_from_mark),
        ((pickle.INST,), own._call_by_name),
        ((pickle.BUILD,), own._build),
        ((pickle.APPEND,), own._append),
        ((pickle.APPENDS, pickle.ADDITEMS), own._extend),
        ((pickle.SETITEM,), own._set_item),
        ((pickle.SETITEMS,), own._set_items),
        ((pickle.DICT,), own._dict),
        ((pickle.EMPTY_SET,), own._list),
        ((pickle.FROZENSET,), own._frozen),
        ((pickle.BINPERSID,), own._persistent),
        ((pickle.EXT1, pickle.EXT2, pickle.EXT4, pickle.PERSID), own._refuse),
        ((pickle.NEXT_BUFFER, pickle.READONLY_BUFFER), own._refuse),
    ):
        for operation in operations:
            own.dispatch[operation[0]] = handler


_override()


def _load(file: BufferedIOBase, **options: Any) -> object:
    return RestrictedUnpickler(file, **options).load()


# What torch.load takes as its `pickle_module`.
PICKLE = SimpleNamespace(__name__="restricted", Unpickler=RestrictedUnpickler, load=_load)
