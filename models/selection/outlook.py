"""Finishes a calibrated head: bounds what classes at chance cost, and says what to expect of it."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from headgraft.models.heads.head import Head
from headgraft.models.metrics import harmonic_mean
from headgraft.models.selection.calibrate import HeadContext
from headgraft.models.selection.class_confidence import (
    ClassConfidence,
    class_confidences,
    estimate_of,
    moved,
    shifted,
)
from headgraft.models.selection.estimate import AccuracyInterval, HeadEstimate, Simulation
from headgraft.models.selection.known_classes import (
    AT_CHANCE,
    CHANCE_MIN,
    Familiarity,
    are_related,
    looks_untrained,
)
from headgraft.models.selection.leave_out import HeldOutPrediction
from headgraft.models.selection.old_classes import (
    CHANCE_LOSS_MAX,
    ExpectedLoss,
    OldScores,
    scale_within,
    worst_losses,
)
from headgraft.models.task import Task

UNKNOWN = AccuracyInterval(0.5, 0.0, 1.0)
NOT_PROMISED = (
    "the head's rows vary like random numbers, as before training: what it recognises of its old "
    "classes is not known"
)


@dataclass(frozen=True, eq=False)
class Outlook:
    """Final unseen rows, with what to expect of the new classes, in all and each, and of the old.

    Rows at chance stand at `chance_scale`; None: they were left where the others stand. `loss` is
    the old classes' expected loss of accuracy, `chance_loss` the part that rows at chance cause if
    they were moved; `losses` name those that lose most. `related`: class
    information tells something about rows; `untrained`: the head looks it. `usual` is
    what to expect of any new classes in place of these.
    """

    unseen: Head
    estimate: HeadEstimate
    confidences: tuple[ClassConfidence, ...]
    losses: tuple[ExpectedLoss, ...]
    loss: float
    chance_loss: float
    chance_scale: float | None
    related: bool
    untrained: bool
    usual: HeadEstimate

    @property
    def all_at_chance(self) -> bool:
        """Whether no new class means anything."""
        return all(one.at_chance for one in self.confidences)

    def of_these(self, estimate: HeadEstimate) -> HeadEstimate:
        """Move the estimate of other rows of the classes as far as that of the chosen ones."""
        T1, u, s = (
            moved(figure, shifted(figure.value, usual.value, final.value))
            for figure, usual, final in (
                (estimate.T1, self.usual.T1, self.estimate.T1),
                (estimate.u, self.usual.u, self.estimate.u),
                (estimate.s, self.usual.s, self.estimate.s),
            )
        )
        H = moved(estimate.H, harmonic_mean(u.value, s.value))
        return replace(estimate, T1=T1, u=u, s=s, H=H)

    def at_scale(self, u: float, s: float) -> tuple[float, float, float]:
        """Return u, s and H at another length of the rows, from those of any new classes."""
        u = shifted(u, self.usual.u.value, self.estimate.u.value)
        s = shifted(s, self.usual.s.value, self.estimate.s.value)
        return u, s, harmonic_mean(u, s)


@dataclass(frozen=True, eq=False)
class Placement:
    """Unseen rows as calibrated, at a `scale`, and a function that places them at another.

    `may_shorten` where the user left it to us what old classes may lose.
    """

    unseen: Head
    scale: float
    place_at: Callable[[float], Head]
    may_shorten: bool


def only_known(task: Task, known_U: Tensor) -> Task:
    """Return the task without the classes at chance; all of it where every class is."""
    chosen_U = known_U >= AT_CHANCE
    if chosen_U.all() or not chosen_U.any():
        return task
    names = task.unseen_class_names
    return replace(
        task,
        unseen_class_embeddings_UA=task.unseen_class_embeddings_UA[chosen_U],
        unseen_class_names=tuple(names[number] for number in chosen_U.nonzero()[:, 0].tolist()),
    )


def finish(
    task: Task,
    context: HeadContext,
    held_out: HeldOutPrediction,
    simulated: tuple[Simulation, int, HeadEstimate],
    placement: Placement,
    familiar: Familiarity,
) -> Outlook:
    """Shorten rows at chance until old classes lose next to nothing by them, and judge the head.

    `simulated` are the simulation, the index of the chosen scale, and the estimate of any new
    classes at it.
    """
    simulation, at, usual = simulated
    related = are_related(context, held_out)
    untrained = not related and not simulation.pictures and looks_untrained(context)
    if not related:
        familiar = replace(familiar, known_U=torch.full_like(familiar.known_U, CHANCE_MIN))
    chance_U = familiar.known_U < AT_CHANCE
    old = OldScores.of(context, held_out.known_S)
    unseen, scale, chance_loss = placement.unseen, None, 0.0
    if placement.may_shorten and chance_U.any():
        scale = scale_within(
            old,
            lambda smaller: _of(placement.place_at(smaller), chance_U),
            placement.scale,
            CHANCE_LOSS_MAX * float(chance_U.float().mean()),
        )
        shortened = placement.place_at(scale)
        rows_UK = torch.where(chance_U[:, None], shortened.rows, unseen.rows)
        unseen = task.head.with_rows(rows_UK, unseen.class_names)
        others = 0.0 if chance_U.all() else old.loss(_of(unseen, ~chance_U))
        chance_loss = old.loss(unseen) - others
    loss = old.loss(unseen)
    # The simulation says what any new classes would cost, the final rows what these do.
    s = min(max(usual.s.value + simulation.loss(at) - loss, 0.0), 1.0)
    with_these = replace(usual, s=moved(usual.s, s))
    if untrained:
        with_these = replace(usual, s=UNKNOWN, reasons=(*usual.reasons, NOT_PROMISED))
    hits_S = simulation.trade_off.hits_ST[:, at]
    confidences = class_confidences(
        task, context, held_out, hits_S, unseen, familiar, usual.u.value
    )
    return Outlook(
        unseen=unseen,
        estimate=estimate_of(confidences, with_these),
        confidences=confidences,
        losses=() if untrained else worst_losses(old, task.head, unseen),
        loss=loss,
        chance_loss=chance_loss,
        chance_scale=scale,
        related=related,
        untrained=untrained,
        usual=usual,
    )


def _of(head: Head, chosen_U: Tensor) -> Head:
    numbers = chosen_U.nonzero()[:, 0].tolist()
    return head.with_rows(head.rows[chosen_U], tuple(head.class_names[one] for one in numbers))
