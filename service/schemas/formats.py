"""The files that an injection leaves of a head, by the format they are asked for.

Client and service both read it.
"""

from typing import Literal, get_args

from pydantic import BaseModel

Format = Literal["safetensors", "onnx", "npz", "pt", "labels", "native", "pt2"]
FILES: dict[Format, str] = {
    "safetensors": "head.safetensors",
    "onnx": "head.onnx",
    "npz": "head.npz",
    "pt": "head.pt",
    "labels": "labels.json",
    "native": "head.native.safetensors",
    "pt2": "head.pt2",
}
FORMATS: tuple[Format, ...] = get_args(Format)


class HeadLabels(BaseModel):
    """The file of the format `labels`: the classes by row number, as Hugging Face writes them."""

    id2label: dict[str, str]
    label2id: dict[str, int]
