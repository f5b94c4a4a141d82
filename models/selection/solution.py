"""What solving a task gives: new rows, how they were chosen, and what to expect of them."""

from dataclasses import dataclass

from pydantic import JsonValue

from headgraft.models.heads.head import Head
from headgraft.models.selection.calibrate import Calibration
from headgraft.models.selection.class_confidence import ClassConfidence
from headgraft.models.selection.estimate import HeadEstimate
from headgraft.models.selection.outlook import Outlook


@dataclass(frozen=True)
class CandidateResult:
    """One line of the table of candidates; `skipped` says why there is no estimate."""

    method: str
    settings: dict[str, JsonValue]
    estimate: HeadEstimate | None
    seconds: float
    fits: int
    skipped: str | None = None


@dataclass(frozen=True)
class CurvePoint:
    """Expected seen and unseen accuracy at one scale."""

    scale: float
    u: float
    s: float
    H: float


@dataclass(frozen=True, eq=False)
class Solution:
    """Unseen rows, calibrated and as the method made them, with all that is known of them.

    `seen` is the head they extend: the task's own, unless the method was asked to replace its rows.
    Where nothing could be hidden, `curve` is empty and there is no `outlook`. `bounded` where no
    scale gained half of what it cost, so that old classes lose next to nothing.
    """

    seen: Head
    unseen: Head
    raw: Head
    method: str
    settings: dict[str, JsonValue]
    calibration: Calibration | None
    estimate: HeadEstimate
    curve: tuple[CurvePoint, ...]
    tried: tuple[CandidateResult, ...]
    outlook: Outlook | None = None
    bounded: bool = False

    @property
    def confidences(self) -> tuple[ClassConfidence, ...]:
        """What to expect of each new class."""
        return self.outlook.confidences if self.outlook else ()
