"""Takes the steps of a training, and decides from its loss alone when to end it."""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from headgraft.models.progress import Report

Schedule = torch.optim.lr_scheduler.LRScheduler


def descend(optimizer: torch.optim.Optimizer, loss: Tensor) -> float:
    """Take one step down a loss; return it."""
    optimizer.zero_grad()
    torch.autograd.backward(loss)
    optimizer.step()
    return float(loss.detach())


def train_steps(
    steps: int,
    loss_of_step: Callable[[], Tensor],
    optimizer: torch.optim.Optimizer,
    report: Report,
    stage: str,
    schedule: Schedule | None = None,
) -> list[float]:
    """Take `steps` steps of the optimizer, each on a newly computed loss; return the losses.

    `report` is called before each step with the loss of the one before, and may raise.
    """
    losses: list[float] = []
    for number in range(steps):
        report(number / steps, stage, losses[-1] if losses else None)
        losses.append(descend(optimizer, loss_of_step()))
        if schedule is not None:
            schedule.step()
    return losses


@dataclass
class PlateauStopper:
    """Stops after `patience` epochs in a row whose loss falls by less than `slope` an epoch.

    The fall compares the means of the last two windows, divided by the window; it is looked at
    from epoch `first_epoch` (counted from 1). A rising loss counts as flat.
    """

    slope: float
    window: int = 10
    first_epoch: int = 22
    patience: int = 5
    _losses: list[float] = field(default_factory=list)
    _flat_epochs: int = 0

    def add(self, loss: float) -> bool:
        """Note an epoch's loss; True when the training is to end."""
        self._losses.append(loss)
        if len(self._losses) < max(self.first_epoch, 2 * self.window):
            return False
        self._flat_epochs = self._flat_epochs + 1 if self._fall() < self.slope else 0
        return self._flat_epochs >= self.patience

    def _fall(self) -> float:
        older = self._losses[-2 * self.window : -self.window]
        newer = self._losses[-self.window :]
        return (sum(older) - sum(newer)) / self.window / self.window
