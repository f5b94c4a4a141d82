"""Checks a file of features as it streams by: finite features, and a legal label for each, if any.

Features are (pictures, numbers), or of regions: (pictures, numbers, regions) or (pictures, numbers,
height, width). A picture whose class is not known has the label -1; without labels that is all.
"""

from collections.abc import Collection

import numpy as np

from headgraft.service.uploads.checkpoints import CheckpointReader
from headgraft.workers.formats.find_head import HEAD_DTYPES
from headgraft.workers.formats.header import Header, HeaderError, TensorEntry, short
from headgraft.workers.formats.safetensors import HEADER_BYTES_MAX, LENGTH_BYTES
from headgraft.workers.jobs.spec import UNLABELLED, StoredFeatures

FEATURES, LABELS = "features", "labels"
GENERIC, GENERIC_VALUES = "generic", {"true": True, "false": False}
POOLED, RANKS = 2, (2, 3, 4)
REGION_DTYPES = ("F16", "F32")
WANTED = (
    f"the file must hold the tensor {FEATURES!r} (pictures, numbers), and may hold {LABELS!r} "
    "(pictures,), but no other; features of regions are (pictures, numbers, regions) or "
    "(pictures, numbers, height, width)"
)
LABEL_DTYPES = {
    **{f"I{8 * size}": np.dtype(f"<i{size}") for size in (1, 2, 4, 8)},
    **{f"U{8 * size}": np.dtype(f"<u{size}") for size in (1, 2, 4, 8)},
}
# As many classes as a head may have.
CLASSES_MAX = 200_000


class FeaturesReader:
    """Feed it a safetensors file's bytes in order; HeaderError at the first defect."""

    file_name = "features.safetensors"

    def __init__(self) -> None:
        self._file = CheckpointReader()
        self._start = bytearray()
        self._labels: LabelScan | None = None

    @property
    def size(self) -> int:
        """The bytes that came, or as many as the header promises once it has passed."""
        return self._file.size

    @property
    def header(self) -> Header | None:
        """The file's header, once it has passed."""
        return self._file.header

    def feed(self, chunk: bytes) -> bool:
        """Take the next bytes; True when the header has just become known."""
        if self._file.header is None:
            self._start += chunk
            _check_start(bytes(self._start[:LENGTH_BYTES]))
            is_known = self._file.feed(chunk)
            if is_known:
                self._begin()
            return is_known
        self._file.feed(chunk)
        if self._labels:
            self._labels.feed(chunk)
        return False

    def scan(self, names: Collection[str] | None) -> None:
        """Do nothing: features and labels are always checked."""

    def _begin(self) -> None:
        header = self._file.header
        assert header is not None
        _, labels = layout(header)
        is_generic(header)
        self._file.scan([FEATURES])
        if labels:
            self._labels = LabelScan(labels)
            self._labels.feed(bytes(self._start[self._file.size - header.data_bytes :]))
        self._start.clear()

    def finish(self, path: str) -> StoredFeatures:
        """Describe the file, which lies at `path`; HeaderError when cut short or not finite."""
        file = self._file.finish(path)
        assert file.header is not None
        if FEATURES in file.bad_rows:
            raise HeaderError(f"{FEATURES} hold NaN or infinity in row {file.bad_rows[FEATURES]}")
        features, labels = layout(file.header)
        count, generic = features.shape[0], is_generic(file.header)
        unlabelled = self._labels.unlabelled if self._labels else count
        if generic and not unlabelled:
            raise HeaderError(
                f"the metadata has {GENERIC} {'true'!r}, which is said of pictures without a "
                f"label, and all {count} have one: leave {GENERIC} out"
            )
        present = np.flatnonzero(self._labels.counts_C).tolist() if self._labels else []
        return StoredFeatures(
            path=path,
            sha256=file.sha256,
            bytes=file.bytes,
            count=count,
            feature_size=features.shape[1],
            dtype=features.dtype,
            label_dtype=labels.dtype if labels else None,
            label_min=present[0] if present else None,
            label_max=present[-1] if present else None,
            classes=len(present),
            unlabelled=unlabelled,
            generic=generic,
            region_shape=list(features.shape[2:]) or None,
        )


def layout(header: Header) -> tuple[TensorEntry, TensorEntry | None]:
    """Return the entries of features, and of labels where there are any.

    HeaderError where they are not as they must be.
    """
    if not {FEATURES} <= set(header.tensors) <= {FEATURES, LABELS}:
        held = ", ".join(repr(name)[:80] for name in sorted(header.tensors)[:8]) or "none"
        raise HeaderError(f"{WANTED}; it holds {held}")
    features, labels = header.tensors[FEATURES], header.tensors.get(LABELS)
    _check_entry(features, HEAD_DTYPES if len(features.shape) <= POOLED else REGION_DTYPES, RANKS)
    if labels is None:
        return features, None
    _check_entry(labels, LABEL_DTYPES, (1,))
    if features.shape[0] != labels.shape[0]:
        raise HeaderError(
            f"there are {features.shape[0]} {FEATURES} and {labels.shape[0]} {LABELS}: "
            f"one label for each picture, {UNLABELLED} where its class is not known, or no "
            f"{LABELS} at all"
        )
    return features, labels


def is_generic(header: Header) -> bool:
    """Return whether the metadata says that pictures without a label show anything at all."""
    text = header.metadata.get(GENERIC, "false")
    if text not in GENERIC_VALUES:
        legal = " and ".join(map(repr, GENERIC_VALUES))
        raise HeaderError(f"the metadata has {GENERIC} {short(text)}; legal are {legal}")
    return GENERIC_VALUES[text]


def _check_entry(entry: TensorEntry, dtypes: Collection[str], ranks: Collection[int]) -> None:
    if entry.dtype not in dtypes:
        raise HeaderError(f"{entry.name} are {entry.dtype}; legal are {', '.join(dtypes)}")
    if len(entry.shape) not in ranks or 0 in entry.shape:
        raise HeaderError(f"{entry.name} have the shape {list(entry.shape)}; {WANTED}")


def _check_start(start: bytes) -> None:
    if len(start) == LENGTH_BYTES and not 2 <= int.from_bytes(start, "little") <= HEADER_BYTES_MAX:
        raise HeaderError(f"the file is no safetensors file, the one legal kind: {WANTED}")


class LabelScan:
    """Feed it the data section in order; `counts_C` holds the pictures of each class.

    `unlabelled` counts those of which no class is known.
    """

    def __init__(self, entry: TensorEntry) -> None:
        self._entry = entry
        self._dtype = LABEL_DTYPES[entry.dtype]
        self._at = 0
        self._carry = b""
        self._seen = 0
        self.counts_C = np.zeros(CLASSES_MAX, np.int64)
        self.unlabelled = 0

    def feed(self, data: bytes) -> None:
        """Take the next bytes behind the header; HeaderError at a label that no class can have."""
        start = max(self._entry.start - self._at, 0)
        end = max(self._entry.end - self._at, 0)
        self._at += len(data)
        buffer = self._carry + data[start:end]
        count = len(buffer) // self._dtype.itemsize
        labels_N = np.frombuffer(buffer, self._dtype, count)
        self._carry = buffer[count * self._dtype.itemsize :]
        # Most chunks of a file hold no label, and a count of all classes has its price.
        if count:
            self._count(labels_N)
        self._seen += count

    def _count(self, labels_N: "np.ndarray[tuple[int], np.dtype[np.integer]]") -> None:
        bad_N = (labels_N < UNLABELLED) | (labels_N >= CLASSES_MAX)
        if bad_N.any():
            place = int(bad_N.argmax())
            raise HeaderError(
                f"label {self._seen + place} is {labels_N[place]}; labels count a head's classes "
                f"from 0, in row order, and a head has at most {CLASSES_MAX}; {UNLABELLED} is of a "
                "picture whose class is not known"
            )
        known_N = labels_N[labels_N != UNLABELLED].astype(np.int64)
        self.counts_C += np.bincount(known_N, minlength=CLASSES_MAX)
        self.unlabelled += len(labels_N) - len(known_N)
