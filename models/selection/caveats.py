"""Says in words what an estimate rests on, and why it may be wrong."""

from headgraft.models.features.guesses import crowded
from headgraft.models.features.labelled import CLASSES_MIN, PICTURES_MIN, CalibrationFeatures
from headgraft.models.selection.calibrate import HeadContext
from headgraft.models.selection.estimate import Simulation
from headgraft.models.selection.search import Search, Trial

# An estimate of T1 below so many times chance says that the embeddings carry nothing.
NEAR_CHANCE = 3.0
UNREACHED = 0.03
KINDS = {"generic": "generic pictures", "unlabelled": "features without labels"}


def find_caveats(
    search: Search, trial: Trial, simulation: Simulation, *, add_bias: bool
) -> tuple[str, ...]:
    """Say what the estimate of a chosen trial rests on and what limits it."""
    task, context = search.task, search.context
    caveats = _of_features(context, simulation) if simulation.pictures else _of_rows(context)
    unseen, T1 = len(task.unseen_class_names), float(simulation.T1(trial.at).mean())
    if trial.group_size < unseen:
        caveats.append(
            f"{unseen} classes are added, but only {trial.group_size} can be hidden at a time: "
            "the real T1 and u will be lower"
        )
    if "features" in trial.parsed.method.takes and task.features is not None:
        caveats.append(_of_training(task.features, task.head.class_count))
    if unseen == 1:
        caveats.append("one new class: T1 is 1 by definition, u and s depend on which class it is")
    elif T1 * trial.group_size < NEAR_CHANCE:
        caveats.append(
            f"the class embeddings tell next to nothing about the rows: T1 {100 * T1:.1f} %, "
            f"chance is {100 / trial.group_size:.1f} %"
        )
    if add_bias and task.head.bias is None:
        caveats.append("no bias was added: the head has none, and its file gains no tensor")
    return tuple(caveats)


def _of_training(features: CalibrationFeatures, seen: int) -> str:
    if features.show_all(seen):
        return f"trained on the {len(features.labels_N)} labelled features, not on virtual ones"
    lacking = int((features.counts(seen) == 0).sum())
    return f"trained on virtual features: {lacking} of the {seen} classes have no labelled one"


def _of_features(context: HeadContext, simulation: Simulation) -> list[str]:
    assert simulation.pictures_S is not None
    pictures, classes = simulation.pictures, int((simulation.pictures_S > 0).sum())
    share = f"{100 * simulation.accuracy:.0f} %"
    if simulation.ground == "labelled":
        return [
            f"estimated from {pictures} labelled features of {classes} classes, of which the head "
            f"itself recognises {share}",
            "the figures hold for pictures like these: if the head was trained on them, old "
            "classes will be recognised less often",
        ]
    kind = KINDS[simulation.ground]
    caveats = [
        f"estimated from {pictures} {kind}: the head's own best guesses, {classes} classes, stand "
        "in for labels"
    ]
    if simulation.ground == "generic":
        caveats.append(
            "generic pictures show how long new rows should be; how often they are right is "
            "less certain: 50 pictures of the kind that the head is used for would tell it better"
        )
    if simulation.known:
        caveats.append(f"the head is taken to recognise {share} of pictures of its classes")
    elif simulation.ground == "generic":
        caveats.append(
            f"the head is assumed to recognise {share} of pictures of its classes: give its real "
            "accuracy for a better estimate"
        )
    else:
        caveats.append(
            f"by how far its guesses lead, the head recognises about {share} of such pictures: "
            "give its real accuracy for a better estimate"
        )
    if context.features is not None:
        caveats.append(_too_few(context.features, "were too few alone"))
    return caveats


def _of_rows(context: HeadContext) -> list[str]:
    caveats = ["estimated from the head and the class embeddings alone, without a picture"]
    if context.features is not None:
        caveats.append(_too_few(context.features, "were not used"))
    if context.guessed is not None:
        caveats.append(_unused_guesses(context.guessed))
    reached, wanted = context.simulated.head_accuracy, context.simulated.wanted_accuracy
    if context.accuracy is None:
        caveats.append(
            f"the head is assumed to recognise {100 * wanted:.0f} % of "
            "pictures of its classes: give its real accuracy for a better estimate"
        )
    if abs(reached - wanted) > UNREACHED:
        caveats.append(
            f"the virtual features let the head recognise {100 * reached:.0f} %, not what it is "
            "taken to: its rows are unlike those of a trained head, trust the figures less"
        )
    return caveats


def _too_few(features: CalibrationFeatures, verdict: str) -> str:
    classes = int((features.labels_N.bincount() > 0).sum())
    return (
        f"the {len(features.labels_N)} labelled features of {classes} classes {verdict}: "
        f"of the classes that were hidden, {CLASSES_MIN} are needed, with {PICTURES_MIN} features"
    )


def _unused_guesses(guessed: CalibrationFeatures) -> str:
    classes = int((guessed.labels_N.bincount() > 0).sum())
    kind = KINDS[guessed.source]
    if crowded(guessed):
        return (
            f"the {kind} were not used: nearly all of them look to the head like a few of its "
            "classes, so they are nothing like what it was trained on"
        )
    return (
        f"the {kind} were not used: the head takes them for {classes} of its classes; "
        f"{CLASSES_MIN} are needed, with {PICTURES_MIN} features"
    )
