"""Says in words what an estimate rests on, and what limits the belief in it.

It knows how the estimate was made, and decides nothing.
"""

from headgraft.models.features.labelled import CLASSES_MIN, PICTURES_MIN, Pictures
from headgraft.models.selection.calibrate import Ground
from headgraft.models.selection.estimate import Simulated
from headgraft.models.selection.search import Search, Trial

# An estimate of T1 below so many times chance says that the embeddings carry nothing.
NEAR_CHANCE = 3.0
UNREACHED = 0.03


def reasons_for(
    search: Search, trial: Trial, simulated: Simulated, *, add_bias: bool
) -> tuple[str, ...]:
    """Say what the estimate rests on and what limits it."""
    task = search.task
    ground = search.ground
    reasons = _of_pictures(ground, simulated) if simulated.pictures else _of_rows(ground)
    unseen, T1 = len(task.unseen_class_names), float(simulated.T1(trial.at).mean())
    if trial.group_size < unseen:
        reasons.append(
            f"{unseen} classes are added, but only {trial.group_size} can be hidden at a time: "
            "the real T1 and u will be lower"
        )
    if said := _untrained(search, trial):
        reasons.append(said)
    if unseen == 1:
        reasons.append("one new class: T1 is 1 by definition, u and s depend on which class it is")
    elif T1 * trial.group_size < NEAR_CHANCE:
        reasons.append(
            f"the class embeddings tell next to nothing about the rows: T1 {100 * T1:.1f} %, "
            f"chance is {100 / trial.group_size:.1f} %"
        )
    if add_bias and task.head.bias is None:
        reasons.append("no bias was added: the head has none, and its file gains no tensor")
    return tuple(reasons)


def _untrained(search: Search, trial: Trial) -> str | None:
    pictures, seen = search.task.pictures, search.task.head.class_count
    if pictures is None or "features" not in trial.parsed.method.takes:
        return None
    if pictures.show_all(seen):
        return f"trained on the {len(pictures.labels_N)} labelled features, not on virtual ones"
    lacking = int((pictures.counts(seen) == 0).sum())
    return f"trained on virtual features: {lacking} of the {seen} classes have no labelled one"


def _of_pictures(ground: Ground, simulated: Simulated) -> list[str]:
    assert ground.pictures is not None
    assert simulated.pictures_S is not None
    return [
        f"estimated from {simulated.pictures} labelled features of "
        f"{int((simulated.pictures_S > 0).sum())} classes, of which the head itself recognises "
        f"{100 * ground.pictures.head_accuracy:.0f} %",
        "the figures hold for pictures like these: if the head was trained on them, old classes "
        "will be recognised less often",
    ]


def _of_rows(ground: Ground) -> list[str]:
    reasons = ["estimated from the head and the class embeddings alone, without a picture"]
    if ground.pictures is not None:
        reasons.append(_too_few(ground.pictures))
    if ground.accuracy is None:
        reasons.append(
            f"the head is assumed to recognise {100 * ground.features.wanted_accuracy:.0f} % of "
            "pictures of its classes: give its real accuracy for a better estimate"
        )
    reached = ground.features.head_accuracy
    if abs(reached - ground.features.wanted_accuracy) > UNREACHED:
        reasons.append(
            f"the virtual features let the head recognise {100 * reached:.0f} %, not what it is "
            "taken to: its rows are unlike those of a trained head, trust the figures less"
        )
    return reasons


def _too_few(pictures: Pictures) -> str:
    classes = int((pictures.labels_N.bincount() > 0).sum())
    return (
        f"the {len(pictures.labels_N)} labelled features of {classes} classes were not used: "
        f"of the classes that were hidden, {CLASSES_MIN} are needed, with {PICTURES_MIN} features"
    )
