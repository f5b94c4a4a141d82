"""Says to a person at the command line what the service points at, and what a report warns of."""

import re
from collections.abc import Sequence

from headgraft import HeadgraftError
from headgraft.workers.names.class_list import ClassList

# The option that says what a JSON pointer into a request points at.
OPTIONS = {
    "method": "--method",
    "settings": "--setting",
    "class_names": "--names",
    "add": "--add",
    "allow_twins": "--allow-twins",
    "key": "--key",
    "allow_ungrown": "--allow-ungrown",
    "network": "--network",
    "class_embeddings/encoder": "--encoder",
    "class_embeddings": "--class-embeddings",
    "attributes": "--attributes",
    "calibration/prefer": "--prefer",
    "calibration/seen_loss_points": "--max-seen-loss",
    "calibration/seen_accuracy": "--seen-accuracy",
    "calibration/budget_seconds": "--budget",
    "head/weight": "--head-weight",
    "head/bias": "--head-bias",
    "head/metric": "--metric",
    "head/scale": "--scale",
    "features_id": "--features",
    "timeout_seconds": "--timeout",
    "metadata": "--metadata",
}
# How the service names a field in a sentence, and how the command line calls it.
WORDS = {
    r"\bhead\.weight\b": "--head-weight",
    r"\bhead\.bias\b": "--head-bias",
    r"\ballow_twins\b": "--allow-twins",
    r"\ballow_ungrown\b": "--allow-ungrown",
    r"\bgive class_names\b": "give --names",
}
ERRORS_SHOWN = 5


def as_typed(error: HeadgraftError, names: ClassList | None, add: ClassList) -> str:
    """Say a refusal by options and lines of files, in place of pointers and fields."""
    if not error.errors:
        return in_options(error.detail)
    shown = []
    for one in error.errors[:ERRORS_SHOWN]:
        place = _place(one["pointer"].strip("/").split("/"), names, add)
        detail = in_options(one["detail"])
        shown.append(f"{place}: {detail}" if place else detail)
    if len(error.errors) > ERRORS_SHOWN:
        shown.append(f"and {len(error.errors) - ERRORS_SHOWN} more")
    return "; ".join(shown)


def in_options(text: str) -> str:
    """Put options in the place of a request's fields."""
    for field, option in WORDS.items():
        text = re.sub(field, option, text)
    return text


def _place(parts: Sequence[str], names: ClassList | None, add: ClassList) -> str:
    """Return the option, or the place in a file, that a pointer's parts mean; "" for none."""
    listed = {"class_names": names, "add": add}.get(parts[0])
    if listed and len(parts) > 1 and parts[1].isdigit():
        place = listed.classes[int(parts[1])].place
        return place if place.startswith("--") else f"{OPTIONS[parts[0]]}, {place}"
    for length in (2, 1):
        option = OPTIONS.get("/".join(parts[:length]))
        if option:
            rest = " ".join(parts[length:])
            return f"{option} {rest}" if rest and parts[0] in ("settings", "metadata") else option
    return ""
