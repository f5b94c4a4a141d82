"""Decides from the training loss alone when to stop; it does not know what is trained."""

from dataclasses import dataclass, field


@dataclass
class FlatLoss:
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
