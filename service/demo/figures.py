"""The demo's figures, from heads and pooled features."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open

Floats = NDArray[np.float32]
TOP = 5
METHOD, ENCODER = "ridge", "minilm"


@dataclass(frozen=True, eq=False)
class HeadFile:
    """A head as its file holds it: weight (C, D), bias (C,), one name per class."""

    weight_CD: Floats
    bias_C: Floats
    class_names: tuple[str, ...]

    def rows(self, names: tuple[str, ...]) -> Floats:
        """Return the weights of the named classes, in that order: (len(names), D)."""
        number = {name: index for index, name in enumerate(self.class_names)}
        chosen: Floats = self.weight_CD[[number[name] for name in names]]
        return chosen


@dataclass(frozen=True, eq=False)
class DemoOutcome:
    """What a run of the demo leaves: heads, pictures, and the seconds of each step by part."""

    folder: Path
    unseen: tuple[str, ...]
    full: HeadFile
    seen: HeadFile
    by_name: HeadFile
    described: HeadFile
    pictures: dict[str, Floats]
    seconds: dict[str, dict[str, float]]


@dataclass(frozen=True)
class Guess:
    """A class and the probability a head gives it."""

    name: str
    probability: float


@dataclass(frozen=True)
class Sight:
    """A picture: the class it shows, its top five, and that class's place before and after."""

    picture: str
    shows: str
    is_new: bool
    before: list[Guess]
    after: list[Guess]
    place_by_name: int
    place_described: int


def read_head(path: Path) -> HeadFile:
    """Read `_fc.weight`, `_fc.bias` and the class names of a safetensors file."""
    with safe_open(path, framework="numpy") as opened:
        names = json.loads(opened.metadata()["class_names"])
        return HeadFile(opened.get_tensor("_fc.weight"), opened.get_tensor("_fc.bias"), (*names,))


def read_pictures(path: Path) -> dict[str, Floats]:
    """Read the pooled features (D,) of each picture, by file name."""
    with np.load(path) as stored:
        return dict(zip(stored["names"].tolist(), stored["features"], strict=True))


def ranking(head: HeadFile, features_D: Floats) -> list[Guess]:
    """List all classes with their softmax probabilities, the most probable first."""
    logits_C = head.weight_CD @ features_D + head.bias_C
    odds_C = np.exp(logits_C - logits_C.max())
    probabilities_C = odds_C / odds_C.sum()
    order = np.argsort(-probabilities_C, kind="stable")
    return [Guess(head.class_names[index], float(probabilities_C[index])) for index in order]


def sights(outcome: DemoOutcome) -> list[Sight]:
    """Look at every picture; it shows the class that the untouched head of all classes sees."""
    return [_look(outcome, name, x_D) for name, x_D in outcome.pictures.items()]


def _look(outcome: DemoOutcome, picture: str, features_D: Floats) -> Sight:
    shows = ranking(outcome.full, features_D)[0].name
    by_name = ranking(outcome.by_name, features_D)
    described = ranking(outcome.described, features_D)
    return Sight(
        picture=picture,
        shows=shows,
        is_new=shows in outcome.unseen,
        before=ranking(outcome.seen, features_D)[:TOP],
        after=described[:TOP],
        place_by_name=place(by_name, shows),
        place_described=place(described, shows),
    )


def place(guesses: list[Guess], name: str) -> int:
    """Return the place of a class, 1 for the first; ValueError where the head lacks the class."""
    return [guess.name for guess in guesses].index(name) + 1


def nearest_rows(extended: HeadFile, full: HeadFile, unseen: tuple[str, ...]) -> int:
    """Count the injected rows whose nearest true row, among those of `unseen`, is their own.

    Nearness is the cosine as seen from the mean of the rows that were there before.
    """
    seen = tuple(name for name in extended.class_names if name not in set(unseen))
    mean_D = extended.rows(seen).mean(axis=0)
    injected_UD = _unit(extended.rows(unseen) - mean_D)
    true_UD = _unit(full.rows(unseen) - mean_D)
    nearest_U = (injected_UD @ true_UD.T).argmax(axis=1)
    return int((nearest_U == np.arange(len(unseen))).sum())


def old_rows_unchanged(extended: HeadFile, seen: HeadFile) -> bool:
    """Return whether the extended head begins with the old one, bit for bit."""
    count = len(seen.class_names)
    return (
        extended.weight_CD[:count].tobytes() == seen.weight_CD.tobytes()
        and extended.bias_C[:count].tobytes() == seen.bias_C.tobytes()
        and extended.class_names[:count] == seen.class_names
    )


def _unit(rows: Floats) -> Floats:
    unit: Floats = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit
