"""Gets the unseen rows of a job, calibrated or plain, and what the report says of them.

It knows nothing of files.
"""

from dataclasses import asdict, dataclass
from typing import cast

import torch
from torch import Tensor

from headgraft.models.heads.extend import split
from headgraft.models.heads.head import Head
from headgraft.models.heads.protocol import NativeHead
from headgraft.models.method import AnyParsed, ParsedRows
from headgraft.models.progress import Progress
from headgraft.models.selection import solve as auto
from headgraft.models.task import Task
from headgraft.workers.jobs import spec as jobs
from headgraft.workers.jobs.report import (
    AppliedCalibration,
    Estimate,
    ExpectedClass,
    RowMap,
    SolvedPart,
    TradeOffPoint,
    TriedMethod,
)

MAP_CLASSES_MAX = 5000


@dataclass(frozen=True, eq=False)
class Rows:
    """Unseen rows, and the seen head they extend: the uploaded one, or one in its place."""

    seen: Head
    unseen: Head


Made = Rows | NativeHead


def solve(
    spec: jobs.JobSpec,
    parsed: AnyParsed | None,
    task: Task,
    *,
    device: str,
    progress: Progress,
) -> tuple[Made, SolvedPart]:
    """Return what was made and the part of the report that tells how it came about.

    `parsed` is the method of the job with its settings; None: the best of all is chosen.
    """
    wish = spec.calibration
    if parsed is not None and (parsed.method.head != "rows" or not wish.enabled):
        made = parsed.synthesize(task, device=device, progress=progress)
        told = SolvedPart(method=parsed.name, settings=parsed.dump)
        return (Rows(*split(task.head, made)) if isinstance(made, Head) else made), told
    wishes = auto.Wish(
        prefer=wish.prefer,
        seen_loss_points=wish.seen_loss_points,
        add_bias=wish.add_bias,
        budget_seconds=wish.budget_seconds,
        calibrate=wish.enabled,
        seen_accuracy=wish.seen_accuracy,
        pictures=task.pictures,
    )
    if parsed is None:
        found = auto.solve(task, auto.AUTO, spec.settings, wishes, device=device, progress=progress)
    else:
        one = [cast(ParsedRows, parsed)]
        found = auto.solve_by(one, task, wishes, device=device, progress=progress)
    return Rows(found.seen, found.unseen), _told(found)


def _told(found: auto.Solution) -> SolvedPart:
    chosen = found.calibration.scale if found.calibration else None
    return SolvedPart(
        method=found.method,
        settings=found.settings,
        calibration=AppliedCalibration.model_validate(found.calibration)
        if found.calibration
        else None,
        estimate=Estimate.model_validate(found.estimate),
        tried=[TriedMethod.model_validate(one) for one in found.tried],
        curve=[
            TradeOffPoint(**asdict(point), chosen=point.scale == chosen) for point in found.curve
        ],
        outlook={one.name: ExpectedClass.model_validate(one) for one in found.outlook},
        raw_norms=found.raw.weight.norm(dim=1).tolist(),
        map=_map(found.seen, found.unseen),
    )


def _map(seen: Head, unseen: Head) -> RowMap:
    """Lay rows out in the plane of the seen rows' two leading directions."""
    rows_CD = torch.cat([seen.weight.float(), unseen.weight])
    centred_CD = rows_CD - seen.weight.float().mean(dim=0)
    basis_D2 = _plane(centred_CD[: seen.class_count])
    points_C2 = (centred_CD @ basis_D2).tolist()
    split = seen.class_count
    return RowMap(seen=points_C2[:split][:MAP_CLASSES_MAX], unseen=points_C2[split:])


def _plane(centred_SD: Tensor) -> Tensor:
    """Return two orthonormal directions (D, 2); a head of one feature has the second all zero."""
    vectors = torch.linalg.eigh(centred_SD.T @ centred_SD).eigenvectors[:, -2:].flip(1)
    return torch.nn.functional.pad(vectors, (0, 2 - vectors.shape[1]))
