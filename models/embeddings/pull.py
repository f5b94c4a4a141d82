"""Downloads an open_clip model into a folder that needs no network afterwards."""

import json
import re
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from safetensors.torch import save_file

from headgraft.models.embeddings.encoders import (
    CONFIG_FILE,
    PACKAGED,
    SHORT_NAME,
    EncoderInfo,
    installed,
)
from headgraft.models.embeddings.torchvision_ops import import_torchvision
from headgraft.models.errors import InjectionError

# What open_clip says of a model, and reads again: its own format.
OpenClipConfig = dict[str, Any]
WEIGHTS_FILE = "open_clip_model.safetensors"


def pull(model: str, folder: Path, short_name: str | None = None) -> EncoderInfo:
    """Download MODEL:TAG into `folder` under a short name.

    InjectionError for an unknown model, tag or name, naming the legal ones, and where the
    download fails. The encoder appears whole or not at all.
    """
    name = short_name or re.sub(r"[^a-z0-9_-]+", "-", model.lower())[:64]
    if not SHORT_NAME.fullmatch(name) or name == PACKAGED or (folder / name).exists():
        raise InjectionError(
            f"short name {name!r} cannot be used: it must match {SHORT_NAME.pattern}, not be "
            f"{PACKAGED!r}, and not be installed already in {folder}",
            pointer="/name",
        )
    import_torchvision()
    _download(model, folder, name)
    return installed(folder)[name]


def _download(model: str, folder: Path, name: str) -> None:
    """Fetch MODEL:TAG and put it under `folder/name` in one rename.

    InjectionError for an unknown model or tag, naming the legal ones, for a text tower that
    would need the network at every load, and where the download fails.
    """
    import open_clip

    architecture, tag = _parse(model, open_clip.list_pretrained())
    config = _offline_config(open_clip, architecture, tag)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".pull-", dir=folder) as temporary:
        staged = Path(temporary) / name
        staged.mkdir()
        _fetch_weights(open_clip, architecture, tag, config, staged)
        _save_tokenizer(open_clip, architecture, config, staged)
        text = json.dumps({"model_cfg": config, "preprocess_cfg": {}}, indent=2)
        (staged / CONFIG_FILE).write_text(text, encoding="utf-8")
        staged.rename(folder / name)


def _parse(model: str, known: Sequence[tuple[str, str]]) -> tuple[str, str]:
    architecture, _, tag = model.partition(":")
    tags = sorted(tag for name, tag in known if name == architecture)
    if not tags:
        legal = ", ".join(sorted({name for name, _ in known}))
        raise InjectionError(f"model {architecture!r} is not one of: {legal}", pointer="/model")
    if tag not in tags:
        raise InjectionError(
            f"model {architecture!r} has no weights {tag!r}; it has: {', '.join(tags)}",
            pointer="/model",
        )
    return architecture, tag


def _offline_config(open_clip: Any, architecture: str, tag: str) -> OpenClipConfig:
    config: OpenClipConfig = open_clip.get_model_config(architecture)
    if "hf_model_name" in config["text_cfg"]:
        raise InjectionError(
            f"model {architecture!r} builds its text tower from another hub entry at every load, "
            "so it cannot serve offline; choose one with a text tower of its own",
            pointer="/model",
        )
    # Weights trained with QuickGELU give wrong vectors under GELU, without any error.
    if open_clip.get_pretrained_cfg(architecture, tag).get("quick_gelu"):
        config["quick_gelu"] = True
    return config


def _fetch_weights(
    open_clip: Any, architecture: str, tag: str, config: OpenClipConfig, staged: Path
) -> None:
    try:
        network = open_clip.create_model(
            architecture,
            pretrained=tag,
            force_quick_gelu=bool(config.get("quick_gelu")),
            cache_dir=str(staged.parent / "cache"),
            require_pretrained=True,
        )
    except (OSError, RuntimeError) as error:
        raise InjectionError(
            f"the weights of {architecture}:{tag} could not be downloaded ({error}); "
            "this command needs the network",
        ) from error
    save_file(
        {name: value.contiguous() for name, value in network.state_dict().items()},
        staged / WEIGHTS_FILE,
    )
    shutil.rmtree(staged.parent / "cache", ignore_errors=True)


def _save_tokenizer(
    open_clip: Any, architecture: str, config: OpenClipConfig, staged: Path
) -> None:
    # The usual byte-pair tokenizer comes with the package; any other must lie beside the weights.
    if config["text_cfg"].get("hf_tokenizer_name"):
        open_clip.get_tokenizer(architecture).save_pretrained(staged)
