"""Writes a head of rows alone, beside the checkpoint, as the files that other tools read."""

import json
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from headgraft.models.heads import labels
from headgraft.models.heads.head import Head
from headgraft.models.heads.onnx import fits, linear_to_onnx

ONNX_FILE = "head.onnx"
NPZ_FILE = "head.npz"
PT_FILE = "head.pt"
LABELS_FILE = "labels.json"


def write(head: Head, seen_count: int, folder: Path) -> None:
    """Write all of them into `folder`; no ONNX file of a head beyond the 2 GiB it can hold.

    ONNX: `features` to `logits`. npz: `weight`, `bias` if any, and what the ONNX file says of
    classes and metric, as texts. pt: the state dict of the `torch.nn.Linear`.
    """
    metadata = {
        **labels.metadata(head.class_names, seen_count),
        "metric": head.metric,
        "scale": repr(head.scale),
    }
    if fits(head):
        (folder / ONNX_FILE).write_bytes(linear_to_onnx(head, metadata))
    tensors = {"weight": head.weight, **({} if head.bias is None else {"bias": head.bias})}
    arrays = {name: _as_numpy(tensor) for name, tensor in tensors.items()}
    texts = {name: np.array(text) for name, text in metadata.items()}
    np.savez(folder / NPZ_FILE, allow_pickle=False, **arrays, **texts)
    torch.save(tensors, folder / PT_FILE)
    write_labels(head.class_names, folder)


def write_labels(class_names: tuple[str, ...], folder: Path) -> None:
    """Write the classes as `id2label` and `label2id`, as a Hugging Face `config.json` does."""
    text = json.dumps(labels.config(class_names), ensure_ascii=False, indent=1)
    (folder / LABELS_FILE).write_text(text, encoding="utf-8")


def _as_numpy(tensor: Tensor) -> np.ndarray[tuple[int, ...], np.dtype[np.generic]]:
    """Return the same numbers; of bfloat16, which numpy lacks, as float32."""
    numbers: np.ndarray[tuple[int, ...], np.dtype[np.generic]]
    numbers = (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()
    return numbers
