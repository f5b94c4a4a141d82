"""Makes a small pair of MATLAB files such as the xlsa17 benchmark has: planted and seeded."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from scipy.io import savemat

SEEN, UNSEEN = 30, 8
ATTRIBUTES, FEATURES = 8, 24
TRAIN, TEST = 8, 4  # pictures of a seen class; an unseen one has as many, all to test on
NOISE = 0.9


@dataclass
class Made:
    """What is planted: `side` says of every picture which split it is in; all counts from 0."""

    class_names: list[str]
    unseen: list[int]
    labels: np.ndarray
    side: np.ndarray
    arrays: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def unseen_names(self) -> list[str]:
        """The names of the unseen classes, in the order of the labels."""
        return [self.class_names[label] for label in self.unseen]


def make(seed: int = 0) -> Made:
    """Plant features that are linear in the attributes, so that attributes tell unseen rows.

    Classes of both sides alternate, and so do the pictures: every neighbour of a picture shows
    another class, and the picture that follows one of an unseen class shows a seen one.
    """
    random = np.random.default_rng(seed)
    count = SEEN + UNSEEN
    unseen = list(range(3, count, count // UNSEEN))[:UNSEEN]
    labels = np.tile(np.arange(count), TRAIN + TEST)
    turn = np.repeat(np.arange(TRAIN + TEST), count)
    side = np.where(turn < TRAIN, "trainval", "test_seen")
    side = np.where(np.isin(labels, unseen), "test_unseen", side)
    attributes_CA = random.normal(size=(count, ATTRIBUTES))
    attributes_CA /= np.linalg.norm(attributes_CA, axis=1, keepdims=True)
    map_AD = random.normal(size=(ATTRIBUTES, FEATURES))
    features_ND = 6 * attributes_CA[labels] @ map_AD
    features_ND += NOISE * random.normal(size=features_ND.shape)
    names = [f"{label + 1:03}.Kind_{label}" for label in range(count)]
    made = Made(names, unseen, labels, side)
    made.arrays["res101"] = {
        "features": features_ND.T,
        "labels": labels[:, None].astype(np.float64) + 1,
        "image_files": _cells([f"/pictures/{number}.jpg" for number in range(len(labels))]),
    }
    made.arrays["att_splits"] = {
        "allclasses_names": _cells(names),
        "att": attributes_CA.T,
        "original_att": attributes_CA.T * 100,
        **{f"{part}_loc": _numbers(side == part) for part in ("test_seen", "test_unseen")},
        "trainval_loc": _numbers(side == "trainval"),
        "train_loc": _numbers((side == "trainval") & (labels % 2 == 0)),
        "val_loc": _numbers((side == "trainval") & (labels % 2 == 1)),
    }
    return made


def write(folder: Path, made: Made) -> Path:
    """Write both files into a folder, which is made, and return that of the features."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, arrays in made.arrays.items():
        savemat(folder / f"{name}.mat", arrays)
    return folder / "res101.mat"


def _cells(texts: list[str]) -> np.ndarray:
    cells = np.empty((len(texts), 1), dtype=object)
    cells[:, 0] = texts
    return cells


def _numbers(chosen: np.ndarray) -> np.ndarray:
    return np.flatnonzero(chosen)[:, None].astype(np.uint16) + 1
