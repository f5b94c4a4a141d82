"""Finds what makes features unfit for an injection, each with a pointer."""

from collections.abc import Collection, Iterator

from headgraft.service.schemas.requests import InjectionRequest
from headgraft.service.web.pointers import Problem
from headgraft.workers.formats.find_head import HeadTensors
from headgraft.workers.jobs.spec import StoredFeatures

NEED = "features"
REGIONS = "regions"
POINTER = "/features_id"
CLASSES_MIN, UNLABELLED_MIN = 2, 2


def feature_problems(
    request: InjectionRequest,
    features: StoredFeatures | None,
    needs: Collection[str],
    feature_size: int | None,
    class_count: int,
    takes: Collection[str] = (),
) -> list[Problem]:
    """Find what is wrong with the features of a request, or with there being none.

    The method `needs` them, or `takes` them where they are. `feature_size` is the head's, None
    while it is not known.
    """
    if features is None:
        missing = (
            f"method {request.method!r} needs labelled features: POST /v1/features, then {NEED}_id"
        )
        return [Problem(POINTER, missing)] if NEED in needs else []
    calibrates = request.calibration.enabled or request.method == "auto"
    found = [
        *_use_problems(request.method, features, needs, takes, calibrates=calibrates),
        *_shape_problems(request, features, needs, feature_size),
        *_count_problems(features, calibrates=calibrates),
    ]
    if features.label_max is not None and features.label_max >= class_count:
        detail = (
            f"the largest label is {features.label_max}; with {class_count} classes in the head, "
            f"labels are 0 to {class_count - 1}"
        )
        found.append(Problem(POINTER, detail))
    return found


def _use_problems(
    name: str,
    features: StoredFeatures,
    needs: Collection[str],
    takes: Collection[str],
    *,
    calibrates: bool,
) -> Iterator[Problem]:
    """Say why nothing could use the features: methods read labelled ones, calibration all."""
    method, reads = f"method {name!r}", NEED in {*needs, *takes}
    unused = f"nothing would use the features: calibration is off, and {method} takes"
    if NEED in needs and features.unlabelled:
        detail = f"{method} needs a label for every picture; {_unlabelled(features)}"
        yield Problem(POINTER, detail)
    elif not calibrates and not reads:
        yield Problem(POINTER, f"{unused} none")
    elif not calibrates and not features.labelled:
        yield Problem(POINTER, f"{unused} labelled ones; {_unlabelled(features)}")


def _count_problems(features: StoredFeatures, *, calibrates: bool) -> Iterator[Problem]:
    """Say that the features are too few to tell anything."""
    if features.unlabelled and calibrates:
        if features.count < UNLABELLED_MIN:
            detail = f"there is {features.count} picture; {UNLABELLED_MIN} are the fewest"
            yield Problem(POINTER, detail)
    elif features.labelled and features.classes < CLASSES_MIN:
        detail = (
            f"all labelled features are of class {features.label_min}; {CLASSES_MIN} classes are "
            "the fewest"
        )
        yield Problem(POINTER, detail)


def _unlabelled(features: StoredFeatures) -> str:
    if not features.labelled:
        return f"none of the {features.count} pictures has one"
    return f"{features.unlabelled} of the {features.count} pictures have none (their label is -1)"


def _shape_problems(
    request: InjectionRequest,
    features: StoredFeatures,
    needs: Collection[str],
    feature_size: int | None,
) -> Iterator[Problem]:
    """Find what does not fit in the features' own shape: regions or none, how many numbers."""
    method, size = f"method {request.method!r}", features.feature_size
    if REGIONS in needs:
        if features.region_shape is None:
            detail = (
                f"{method} looks at regions: features of (pictures, numbers, regions) or (pictures,"
                f" numbers, height, width); these are ({features.count}, {size})"
            )
            yield Problem(POINTER, detail)
        for place, number in enumerate(request.attention_of or ()):
            if number >= features.count:
                detail = (
                    f"there is no picture {number}; the features have 0 to {features.count - 1}"
                )
                yield Problem(f"/attention_of/{place}", detail)
        return
    if features.region_shape is not None:
        shape = (features.count, size, *features.region_shape)
        detail = f"{method} takes features of (pictures, numbers); these have regions: {shape}"
        yield Problem(POINTER, detail)
    elif feature_size is not None and size != feature_size:
        detail = f"the features have {size} numbers each; the head reads {feature_size}"
        yield Problem(POINTER, detail)


def attention_problems(request: InjectionRequest, needs: Collection[str]) -> list[Problem]:
    """Say that a method looks at no regions, where it is asked where it looked."""
    if REGIONS in needs or request.attention_of is None:
        return []
    detail = f"method {request.method!r} does not look at regions: leave attention_of out"
    return [Problem("/attention_of", detail)]


def bias_problems(request: InjectionRequest, tensors: HeadTensors | None) -> list[Problem]:
    """Say that a checkpoint cannot gain a bias: its network has no place for one."""
    if not request.calibration.add_bias or tensors is None or tensors.bias is not None:
        return []
    detail = (
        f"head {tensors.weight!r:.80} has no bias, and the file gains no tensor that the network "
        "it belongs to would not load: leave add_bias out"
    )
    return [Problem("/calibration/add_bias", detail)]
