"""Judges a finished head in one word, with the reason and the next step that helps most.

The levels are cut by H as measured on ImageNet (tests/benchmarks/LOG.md, ten folds): 73 with a
picture-text encoder, 50 with descriptions read by the sentence encoder, 37 with names alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch

from headgraft.models.metrics import weighted_mean
from headgraft.models.selection.caveats import NEAR_CHANCE
from headgraft.models.selection.estimate import UNSEEN_WEIGHT
from headgraft.models.selection.outlook import Outlook
from headgraft.models.selection.solution import Solution

Level = Literal["good", "usable", "poor", "at_chance"]
Action = Literal[
    "train_the_head",
    "check_the_class_information",
    "describe_the_classes",
    "use_a_picture_text_encoder",
    "send_pictures",
    "prefer_old",
]
GOOD_H, USABLE_H = 0.6, 0.4
# The new classes count as not told apart where T1 is below NEAR_CHANCE times chance, and also below
# chance + LITTLE_ABOVE * (1 - chance).
LITTLE_ABOVE = 0.1
LARGE_LOSS = 0.05  # of old accuracy: worth being avoided
NAMES_SHOWN = 3
SMALLEST = 0.001  # share that is worth a figure
# Measured: tests/benchmarks/LOG.md, "Calibration, estimates and `auto`". The least and the largest
# of three ImageNet heads for pictures.
GAIN_DESCRIBED = "typically 13 points of H"
GAIN_ENCODER = "typically 23 points of H over descriptions, 36 over names alone"
GAIN_PICTURES = "typically 0 to 17 points of H, and narrower intervals"


@dataclass(frozen=True)
class ClassInformation:
    """What the class embeddings were made from: names by an encoder, or anything else.

    `reads_pictures` where the encoder was trained on pictures with texts; `described` where every
    new class has a description.
    """

    from_names: bool
    reads_pictures: bool = False
    described: bool = False


@dataclass(frozen=True)
class HelpfulStep:
    """What the user can do, in words, and what it is expected to gain where that is known."""

    action: Action
    text: str
    gain: str | None


@dataclass(frozen=True)
class HeadVerdict:
    """One word, the one reason, and the step that helps most; None where none is known."""

    level: Level
    reason: str
    next_step: HelpfulStep | None


def judge(solution: Solution, information: ClassInformation) -> HeadVerdict | None:
    """Judge a solution; None where nothing could be hidden, so that nothing is known."""
    outlook = solution.outlook
    if outlook is None:
        return None
    level, reason = _level(solution, outlook)
    if placed := _placed(solution, outlook):
        reason = f"{reason}; {placed}"
    return HeadVerdict(level, reason, _next_step(level, solution, outlook, information))


def _level(solution: Solution, outlook: Outlook) -> tuple[Level, str]:
    estimate, classes = solution.estimate, outlook.confidences
    if outlook.untrained:
        return "at_chance", "the rows of the head vary like random numbers, as before training"
    if not outlook.related:
        return (
            "at_chance",
            "the class information of the old classes tells nothing about their rows",
        )
    if outlook.all_at_chance:
        return "at_chance", f"nothing related to {_named(_at_chance(outlook))} is known"
    if _is_near_chance(estimate.T1.value, len(classes)):
        return "at_chance", "the class information hardly tells the new classes apart"
    levels: tuple[Level, ...] = ("poor", "usable", "good")
    level = levels[(estimate.H.value >= USABLE_H) + (estimate.H.value >= GOOD_H)]
    reason = f"about {_percent(estimate.u.value)} of new classes' pictures are recognised"
    if outlook.loss >= LARGE_LOSS:
        reason += f", and old classes lose {_points(outlook.loss)}"
    return level, reason


def _is_near_chance(T1: float, classes: int) -> bool:
    if classes == 1:
        return False
    above = (T1 - 1 / classes) / (1 - 1 / classes)
    return T1 * classes < NEAR_CHANCE and above < LITTLE_ABOVE


def _placed(solution: Solution, outlook: Outlook) -> str | None:
    """Say what was done so that old classes lose little, and for whom."""
    if outlook.untrained:
        return None
    unknown = _at_chance(outlook)
    whole = f"old classes are expected to lose {_points(outlook.loss)}"
    if outlook.chance_scale is None:
        if not solution.bounded:
            return None
        return f"no length of the new rows gains half of what it costs, so they are short: {whole}"
    if outlook.all_at_chance:
        return f"the new rows are placed where they cost little: {whole}"
    return (
        f"nothing related to {_named(unknown)} is known, so "
        f"{'its row is' if len(unknown) == 1 else 'their rows are'} placed where old classes lose "
        f"{_points(outlook.chance_loss)} by {'it' if len(unknown) == 1 else 'them'}"
    )


def _next_step(
    level: Level, solution: Solution, outlook: Outlook, information: ClassInformation
) -> HelpfulStep | None:
    if outlook.untrained:
        return HelpfulStep("train_the_head", "Send the checkpoint of the trained network.", None)
    if not outlook.related:
        text = "Check that every old class has its own name, in the order of the head's rows."
        return HelpfulStep("check_the_class_information", text, None)
    if unknown := _at_chance(outlook):
        return _describe(_named(unknown), information)
    pictures = solution.estimate.pictures > 0
    if level != "good" and information.from_names and not information.reads_pictures:
        text = "Let a picture-text encoder (CLIP) read the names: the operator installs one."
        return HelpfulStep("use_a_picture_text_encoder", text, GAIN_ENCODER)
    if not pictures:
        text = (
            "Send the features of 50 or more pictures that the head is used for; they need no "
            "labels."
        )
        return HelpfulStep("send_pictures", text, GAIN_PICTURES)
    if outlook.loss >= LARGE_LOSS and (gain := _gain_of_old(solution)):
        return HelpfulStep("prefer_old", "Prefer old classes: they then lose less.", gain)
    if level != "good" and information.from_names and not information.described:
        return _describe("the new classes", information)
    return None


def _describe(names: str, information: ClassInformation) -> HelpfulStep:
    if not information.from_names:
        text = f"Give {names} class information like that of the old classes."
        return HelpfulStep("check_the_class_information", text, None)
    text = f"Describe {names} in one line each: what kind of thing it is, and how it looks."
    return HelpfulStep("describe_the_classes", text, GAIN_DESCRIBED)


def _gain_of_old(solution: Solution) -> str | None:
    """Say what `prefer` "old" would change, by the same simulation."""
    scale = solution.calibration.scale if solution.calibration else None
    now = next((point for point in solution.curve if point.scale == scale), None)
    if now is None:
        return None
    u_T = torch.tensor([point.u for point in solution.curve])
    s_T = torch.tensor([point.s for point in solution.curve])
    other = solution.curve[int(weighted_mean(u_T, s_T, UNSEEN_WEIGHT["old"]).argmax())]
    if other.s <= now.s:
        return None
    return f"old classes +{_points(other.s - now.s)}, new classes -{_points(now.u - other.u)}"


def _at_chance(outlook: Outlook) -> list[str]:
    return [one.name for one in outlook.confidences if one.at_chance]


def _named(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:NAMES_SHOWN])
    return shown if len(names) <= NAMES_SHOWN else f"{shown} and {len(names) - NAMES_SHOWN} more"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _points(share: float) -> str:
    return f"{100 * share:.1f} points" if share >= SMALLEST else "less than 0.1 points"
