"""Decides which file of an injection goes where, by the kinds of what came in and what is asked."""

import importlib.util
from dataclasses import dataclass
from pathlib import Path

from headgraft.service.cli.parsing import TypedError
from headgraft.service.schemas.formats import Format

TORCH_SUFFIXES = (".pth.tar", ".pth", ".pt", ".bin", ".ckpt")
# The suffixes that ask for the head alone, and the format of each.
ALONE: dict[str, Format] = {".onnx": "onnx", ".npz": "npz", ".json": "labels", ".pt2": "pt2"}
FILE_SUFFIXES = (".safetensors", *TORCH_SUFFIXES, *ALONE)
LEGAL = ", ".join(FILE_SUFFIXES)
# What a folder's network lies in, the first of them that is there.
WEIGHT_FILES = ("model.safetensors", "pytorch_model.bin")
CONFIG_FILE = "config.json"


@dataclass(frozen=True)
class Source:
    """What is extended: a file of weights, and the folder whose network it is, if it is one's."""

    weights: Path
    folder: Path | None

    @property
    def is_torch(self) -> bool:
        """Whether the weights are in a file of torch's."""
        return suffix_of(self.weights) in TORCH_SUFFIXES


@dataclass(frozen=True)
class Destination:
    """Where a result goes, and the format to ask for; None: the checkpoint, whatever it is.

    `is_torch`: the checkpoint is to become a torch file again. `folder`: what is to become a copy
    of the folder that came in, with `path` in it.
    """

    path: Path
    format: Format | None = None
    is_torch: bool = False
    folder: Path | None = None


def find_source(checkpoint: Path) -> Source:
    """Return the weights of a checkpoint; TypedError where there is none, or a folder has none."""
    if checkpoint.is_file():
        return Source(checkpoint, None)
    if not checkpoint.is_dir():
        raise TypedError(f"there is no checkpoint {checkpoint}")
    for name in WEIGHT_FILES:
        if (checkpoint / name).is_file() and (checkpoint / CONFIG_FILE).is_file():
            return Source(checkpoint / name, checkpoint)
    raise TypedError(
        f"{checkpoint} is no file. Folders are read of Hugging Face and timm networks: they hold "
        f"{CONFIG_FILE} and {' or '.join(WEIGHT_FILES)}"
    )


def choose_target(
    source: Source, added: int, out: Path | None, *, may_overwrite: bool
) -> Destination:
    """Return where the result goes; TypedError for an unknown suffix, or what lies there."""
    if source.folder and (out is None or suffix_of(out) not in FILE_SUFFIXES):
        return _folder_target(source, added, out, may_overwrite=may_overwrite)
    named = _file_name(source, added)
    path = out or source.weights.with_name(named)
    if path.is_dir():
        path /= named
    suffix = suffix_of(path)
    is_torch = suffix in TORCH_SUFFIXES and (source.is_torch or suffix != ".pt")
    chosen: Format | None = ALONE.get(suffix)
    if suffix == ".pt" and not is_torch:
        chosen = "pt"
    if not (chosen or is_torch or suffix == ".safetensors"):
        raise TypedError(f"{path} has the suffix {path.suffix!r}; legal are {LEGAL}")
    if is_torch:
        require_torch(path)
    _check_free(path, may_overwrite=may_overwrite)
    if not path.parent.is_dir():
        raise TypedError(f"there is no folder {path.parent} to write {path.name} into")
    return Destination(path, chosen, is_torch)


def _file_name(source: Source, added: int) -> str:
    """Name the result what it is: `resnet18+2.safetensors`, a torch file again where one can be."""
    suffix = suffix_of(source.weights)
    stem = source.weights.name.removesuffix(suffix) if suffix else source.weights.name
    keeps = suffix in TORCH_SUFFIXES and has_torch()
    return f"{stem}+{added}{suffix if keeps else '.safetensors'}"


def _folder_target(
    source: Source, added: int, out: Path | None, *, may_overwrite: bool
) -> Destination:
    assert source.folder is not None
    named = source.folder.resolve()
    folder = out or named.with_name(f"{named.name}+{added}")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        _check_free(folder, may_overwrite=may_overwrite)
    if folder.resolve() == named:
        raise TypedError(f"{folder} is the folder that is read; choose another with --out")
    if not folder.parent.is_dir():
        raise TypedError(f"there is no folder {folder.parent} to write {folder.name} into")
    if source.is_torch:
        require_torch(folder)
    return Destination(folder / source.weights.name, None, source.is_torch, folder)


def _check_free(path: Path, *, may_overwrite: bool) -> None:
    if path.exists() and not may_overwrite:
        raise TypedError(f"{path} exists already; choose with --out, or overwrite by --force")


def suffix_of(path: Path) -> str:
    """Return a file's suffix in lower case, `.pth.tar` whole; "" where it is none of a kind."""
    name = path.name.lower()
    for suffix in TORCH_SUFFIXES:
        if name.endswith(suffix):
            return suffix
    return path.suffix.lower()


def has_torch() -> bool:
    """Tell whether torch is installed; it is not imported."""
    return importlib.util.find_spec("torch") is not None


def require_torch(path: Path) -> None:
    """Return where a torch file can be written; TypedError where not."""
    if not has_torch():
        raise TypedError(
            f"{path}: a torch file is written where torch is installed: pip install torch, or "
            "choose a .safetensors file with --out"
        )
