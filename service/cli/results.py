"""Writes the result of an injection as the next tool opens it: a file, or a network's folder."""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from safetensors import safe_open

from headgraft import Headgraft
from headgraft.service.cli.targets import CONFIG_FILE, Destination, Source
from headgraft.service.schemas.formats import FILES, Format
from headgraft.service.schemas.injections import InjectionResource as Injection
from headgraft.workers.names.renew import renewed

# Weights in other formats, which would be those of the old network.
STALE = (".bin", ".h5", ".msgpack", ".onnx", ".safetensors", ".index.json", ".pt", ".pth", ".ckpt")


def save(client: Headgraft, ended: Injection, source: Source, target: Destination) -> list[str]:
    """Download the result to where it goes; return what is to be said of it."""
    if target.format or not (target.is_torch or target.folder):
        client.download(ended.id, target.path, target.format or _whole(ended))
        return []
    parent = target.folder.parent if target.folder else target.path.parent
    with TemporaryDirectory(prefix=".headgraft-", dir=parent) as scratch:
        grown = client.download(ended.id, Path(scratch) / "grown.safetensors", _whole(ended))
        names = _names_in(grown)
        made = Path(scratch) / target.path.name if target.is_torch else grown
        notes = _as_torch(source, grown, made, names, ended.unseen_count) if target.is_torch else []
        if target.folder:
            assert source.folder
            notes += _copy_folder(source, target.folder, names, ended.unseen_count)
        made.replace(target.path)
    return notes


def _whole(ended: Injection) -> Format:
    """Return the format of the whole checkpoint, or of what there is in its place."""
    left = {one.name for one in ended.artifacts}
    return "safetensors" if FILES["safetensors"] in left else "native"


def _as_torch(
    source: Source, grown: Path, made: Path, names: Sequence[str], added: int
) -> list[str]:
    from headgraft.workers.torch_files.restore import write_torch_file

    note = write_torch_file(source.weights if source.is_torch else None, grown, made, names, added)
    return [note] if note else []


def _names_in(grown: Path) -> list[str]:
    with safe_open(grown, framework="np") as file:
        names: list[str] = json.loads((file.metadata() or {})["class_names"])
    return names


def _copy_folder(source: Source, folder: Path, names: Sequence[str], added: int) -> list[str]:
    """Copy a network's folder but for its weights, and renew what its config says of classes."""
    assert source.folder is not None
    folder.mkdir(exist_ok=True)
    left = []
    for path in sorted(source.folder.iterdir()):
        if path.name == source.weights.name or path.name == CONFIG_FILE:
            continue
        if path.name.endswith(STALE) and path.name not in ("training_args.bin",):
            left.append(path.name)
        elif path.is_dir():
            shutil.copytree(path, folder / path.name, dirs_exist_ok=True)
        else:
            shutil.copy2(path, folder / path.name)
    config = json.loads((source.folder / CONFIG_FILE).read_text(encoding="utf-8"))
    text = json.dumps(renewed_config(config, names, added), ensure_ascii=False, indent=2)
    (folder / CONFIG_FILE).write_text(f"{text}\n", encoding="utf-8")
    return [f"not copied, as they hold the old network: {', '.join(left)}"] if left else []


def renewed_config(config: Mapping[str, Any], names: Sequence[str], added: int) -> dict[str, Any]:
    """Return a Hugging Face or timm config.json for a network of all of `names`."""
    grown = renewed(config, names, added)
    if "architecture" in config:  # timm's
        grown["num_classes"] = len(names)
        if "label_names" not in {**config, **config.get("pretrained_cfg", {})}:
            grown["label_names"] = list(names)
        return grown
    grown["id2label"] = {str(row): name for row, name in enumerate(names)}
    grown["label2id"] = {name: row for row, name in enumerate(names)}
    return grown
