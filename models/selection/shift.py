"""Chooses what is added to the logits of injected rows, together with their scale.

Only real pictures tell how large a logit is; it does not know which method made the rows.
"""

from headgraft.models.selection.calibrate import Ground, simulate_shifted
from headgraft.models.selection.estimate import FLATNESS, Prefer, Simulated
from headgraft.models.selection.leave_out import LeftOut

# Of the objective: what a thousand pictures cannot tell apart.
NO_DIFFERENCE = 0.01
# In deviations of a picture's logits over the seen classes.
STEPS = (0.0, 0.5, -0.5, 1.0, -1.0, 1.5, 2.0, 2.5, 3.0, 4.0)


def choose_shift(
    ground: Ground, left_out: LeftOut, unseen: int, prefer: Prefer, seen_loss: float | None
) -> tuple[float, Simulated, int]:
    """Return the shift in logits, the play under it, and the number of the best scale there.

    Needs pictures. Shift 0 where another is not clearly better: it is less of a surprise.
    """
    unit = _logit_deviation(ground)
    played = simulate_shifted(ground, left_out, unseen, [step * unit for step in STEPS])
    scales = [one.choose(prefer, seen_loss) for one in played]
    values = [
        one.worth(at, prefer, seen_loss) - (NO_DIFFERENCE + FLATNESS * abs(step) if step else 0)
        for one, at, step in zip(played, scales, STEPS, strict=True)
    ]
    best = max(range(len(STEPS)), key=lambda number: values[number])
    return STEPS[best] * unit, played[best], scales[best]


def _logit_deviation(ground: Ground) -> float:
    assert ground.pictures is not None, "virtual features have no logits"
    D = ground.head.feature_size
    logits_NS = ground.pictures.scores(ground.rows_SK[:, :D])
    if ground.head.bias is not None:
        logits_NS += ground.rows_SK[:, D]
    return float(logits_NS.std(dim=1).mean())
