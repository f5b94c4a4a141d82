"""Gets the unseen rows of a job, calibrated or plain, and what the report says of them."""

from dataclasses import asdict, dataclass
from typing import cast

import torch
from torch import Tensor

from headgraft.models.heads.extend import split
from headgraft.models.heads.head import Head
from headgraft.models.heads.protocol import NativeHead
from headgraft.models.method import AnyParsed, ParsedRows
from headgraft.models.progress import Progress
from headgraft.models.selection.solution import Solution
from headgraft.models.selection.solve import Preferences, choose_candidates, solve
from headgraft.models.selection.verdict import ClassInformation, judge
from headgraft.models.task import Task
from headgraft.workers.jobs import spec as jobs
from headgraft.workers.jobs.report import (
    AppliedCalibration,
    Estimate,
    ExpectedClass,
    OldClassLoss,
    RowMap,
    SolvedPart,
    TradeOffPoint,
    TriedMethod,
    VerdictPart,
)

MAP_CLASSES_MAX = 5000


@dataclass(frozen=True, eq=False)
class SolvedRows:
    """Unseen rows, and the seen head they extend: the uploaded one, or one in its place."""

    seen: Head
    unseen: Head


SolvedHead = SolvedRows | NativeHead


def solve_job(
    spec: jobs.JobSpec,
    parsed: AnyParsed | None,
    task: Task,
    information: ClassInformation,
    *,
    device: str,
    progress: Progress,
) -> tuple[SolvedHead, SolvedPart]:
    """Return the job's rows or native head, and the part of the report about how it was made.

    `parsed` is the method of the job with its settings; None: the best of all is chosen.
    """
    preferences = Preferences(**spec.calibration.model_dump())
    if parsed is not None and (parsed.method.head != "rows" or not preferences.enabled):
        head = parsed.synthesize(task, device=device, progress=progress)
        solved = SolvedRows(*split(task.head, head)) if isinstance(head, Head) else head
        return solved, SolvedPart(method=parsed.name, settings=parsed.dump)
    if parsed is None:
        candidates = choose_candidates(task, spec.settings)
    else:
        candidates = [cast(ParsedRows, parsed)]
    solution = solve(task, candidates, preferences, device=device, progress=progress)
    return SolvedRows(solution.seen, solution.unseen), _report(solution, information)


def _report(solution: Solution, information: ClassInformation) -> SolvedPart:
    calibration, outlook = solution.calibration, solution.outlook
    scale = calibration.scale if calibration else None
    placed = AppliedCalibration.model_validate(calibration) if calibration else None
    if placed and outlook:
        placed.chance_scale = outlook.chance_scale
    verdict = judge(solution, information)
    return SolvedPart(
        verdict=VerdictPart.model_validate(verdict) if verdict else None,
        method=solution.method,
        settings=solution.settings,
        calibration=placed,
        estimate=Estimate.model_validate(solution.estimate),
        tried=[TriedMethod.model_validate(result) for result in solution.tried],
        curve=[
            TradeOffPoint(**asdict(point), chosen=point.scale == scale) for point in solution.curve
        ],
        outlook={one.name: ExpectedClass.model_validate(one) for one in solution.confidences},
        old_classes_at_risk=[
            OldClassLoss.model_validate(one) for one in (outlook.losses if outlook else ())
        ],
        raw_norms=solution.raw.weight.norm(dim=1).tolist(),
        map=_map(solution.seen, solution.unseen),
    )


def _map(seen: Head, unseen: Head) -> RowMap:
    """Project rows on the plane of the seen rows' two leading directions."""
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
