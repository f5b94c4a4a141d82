"""Tells by a file's first bytes what it is, where it is no checkpoint, and what to send instead."""

import re
from collections.abc import Sequence

from headgraft.workers.formats.safetensors import HEADER_BYTES_MAX

# How many of the first bytes are enough.
START_BYTES = 512
ZIP_START = b"PK\x03\x04"
ZIP_NAME_AT = 30
SAFETENSORS = "save its weights as safetensors (safetensors.torch.save_file)"
STATE_DICT = "save its state dict: torch.save(model.state_dict(), path)"
FROM_ONNX = "take its last layer's weights out with onnx.numpy_helper, and save them as safetensors"
FROM_KERAS = "save the last layer's weights as safetensors: safetensors.numpy.save_file"
STARTS: Sequence[tuple[bytes, str]] = (
    (b"version https://git-lfs", "a Git LFS pointer, not the file: fetch it with git lfs pull"),
    (b"\x89HDF\r\n\x1a\n", f"an HDF5 file, as Keras writes it: {FROM_KERAS}"),
    (b"\x93NUMPY", "a NumPy array (.npy) without a name: save weight and bias as safetensors "
     "(safetensors.numpy.save_file)"),
    (b"GGUF", f"a GGUF file of quantized weights: {SAFETENSORS}"),
    (b"\x1f\x8b", "packed with gzip: unpack it, and send the checkpoint in it"),
    (b"BZh", "packed with bzip2: unpack it, and send the checkpoint in it"),
    (b"\xfd7zXZ\x00", "packed with xz: unpack it, and send the checkpoint in it"),
    (b"7z\xbc\xaf'\x1c", "packed with 7-Zip: unpack it, and send the checkpoint in it"),
    (b"(\xb5/\xfd", "packed with Zstandard: unpack it, and send the checkpoint in it"),
    (b"Rar!", "packed with RAR: unpack it, and send the checkpoint in it"),
    (b"%PDF", "a PDF document"),
    (b"\x89PNG", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"\x7fELF", "a program"),
    (b"SQLite format 3", "an SQLite database"),
    (b"\x00asm", "a WebAssembly program"),
)  # fmt: skip
# What an entry of a zip file's name says of the whole.
ZIPPED: Sequence[tuple[str, str]] = (
    (r".*\.npy", "a NumPy archive (.npz): save its weight and bias as safetensors "
     "(safetensors.numpy.save_file)"),
    (r"(metadata|config)\.json|model\.weights\.h5", f"a Keras archive (.keras): {FROM_KERAS}"),
    (r"(.*/)?(archive_format|serialized_exported_program\.json|models/.*\.json|"
     r"data/weights/.*|data/aotinductor/.*)", f"a program that torch.export wrote: {STATE_DICT}"),
    (r"MAR-INF/.*", "a TorchServe archive (.mar): send the checkpoint in it"),
    (r"(.*/)?coremldata\.bin|.*\.mlmodel", f"a Core ML package: {SAFETENSORS}"),
    (r"word/.*|xl/.*|ppt/.*|\[Content_Types\]\.xml", "an office document"),
)  # fmt: skip


def foreign_kind(start: bytes) -> str | None:
    """Say what a file is that begins like this, and what to do; None where it may be a checkpoint.

    `start` are the file's first bytes, up to START_BYTES of them.
    """
    # The length of a safetensors header may begin with the bytes of any of these.
    if int.from_bytes(start[:8], "little") <= HEADER_BYTES_MAX and start[8:9] == b"{":
        return None
    for sign, kind in STARTS:
        if start.startswith(sign):
            return kind
    if start.startswith(ZIP_START):
        return _zipped(start)
    if start[4:8] == b"TFL3":
        return f"a TensorFlow Lite model: {FROM_KERAS}"
    if start[257:262] == b"ustar":
        return "a tar archive: unpack it, and send the checkpoint in it"
    return f"an ONNX model: {FROM_ONNX}" if _is_onnx(start) else _text_kind(start)


def _text_kind(start: bytes) -> str | None:
    text = start.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<!doctype html", b"<html", b"<head", b"<?xml")):
        return "an HTML page, as a download gives that was not allowed: fetch the file itself"
    if not text.startswith((b"{", b"[")):
        return None
    if b'"weight_map"' in text:
        return (
            "the index of a checkpoint in shards: send the shard that its weight_map names for the "
            "head's weight"
        )
    return "a JSON text: send the file of the weights"


def _zipped(start: bytes) -> str | None:
    """Tell by the first file in a zip file; torch's own archives are none of a foreign kind."""
    length = int.from_bytes(start[26:28], "little")
    name = start[ZIP_NAME_AT : ZIP_NAME_AT + length].decode("utf-8", "replace")
    for pattern, kind in ZIPPED:
        if re.fullmatch(pattern, name):
            return kind
    # All that torch writes lies in a folder of the archive.
    if not name or "/" in name or len(start) < ZIP_NAME_AT + length:
        return None
    return f"a zip archive with {name!r:.60} in it: unpack it, and send the checkpoint in it"


def _is_onnx(start: bytes) -> bool:
    """Tell a model's first field, its version of the format, and the producer's name behind it."""
    return (
        len(start) > 4
        and start[0] == 0x08
        and start[1] < 0x20
        and start[2] in (0x12, 0x1A, 0x22, 0x3A, 0x42)
        and int.from_bytes(start[:8], "little") > HEADER_BYTES_MAX
    )
