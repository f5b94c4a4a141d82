"""Sends the classifier of a torch network through an injection, and puts back the result."""

import logging
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from headgraft.arguments import Entry, InjectionOptions
from headgraft.calls import Calls, OnProgress
from headgraft.class_names import class_entries
from headgraft.classifiers import Classifier, Network, find_classifier
from headgraft.errors import HeadgraftError
from headgraft.pictures import Pictures, is_generic, upload_pictures
from headgraft.remarks import grounds, warnings

log = logging.getLogger("headgraft.client")


async def inject(
    calls: Calls,
    network: Network,
    add: Sequence[Entry],
    classifier: str | None,
    pictures: Pictures | None,
    preprocess: Any,
    on_progress: OnProgress | None,
    options: InjectionOptions,
) -> Network:
    """Add classes to a torch network's classifier, in place, and return the network.

    Of the network only the classifier is sent: the layer named `classifier`, or the one that is
    found. `class_names` are its classes in row order, unless the network names them itself. Its
    old rows stay as they are, bit for bit. HeadgraftError, and nothing changed, where it cannot be
    done.

    The new rows are calibrated by what the network sees in `pictures`, of which only features are
    sent: generic ones, or a folder, PIL pictures, tensors or a DataLoader of your own; None asks
    for none. `preprocess` makes of a picture what the network reads, where the network does not
    say it. `features_id` takes the place of pictures.
    """
    given = class_entries(options.get("class_names"))
    names = [name_of(one) for one in given] if given else None
    found = find_classifier(network, names, classifier, options.get("allow_ungrown") or ())
    head = {
        **(options.get("head") or {}),
        "weight": found.tensors.weight,
        "bias": found.tensors.bias,
    }
    options = {
        **options,
        "class_names": given or found.class_names,
        "head": head,
        "allow_ungrown": None,  # nothing else is sent
    }
    with TemporaryDirectory(prefix="headgraft-") as scratch:
        folder, features = Path(scratch), None
        if _are_used(pictures, options) and found.is_one_layer and found.layer is not network:
            assert pictures is not None
            features = await upload_pictures(calls, network, found.layer, pictures, preprocess)
        try:
            if features:
                options = {**options, "features_id": features}
            injection = await _graft(calls, found, add, on_progress, options, folder)
        finally:
            if features:
                await _forget(calls, features)
    report = await calls.report(injection)
    for text in (*warnings(report), *grounds(report)):
        log.warning("%s: %s", injection, text)
    return network


async def _graft(
    calls: Calls,
    found: Classifier,
    add: Sequence[Entry],
    on_progress: OnProgress | None,
    options: InjectionOptions,
    folder: Path,
) -> str:
    """Send a classifier through an injection, take the rows that come back; return its id."""
    sent, back = folder / "sent.safetensors", folder / "grown.safetensors"
    found.save(sent)
    injection = await calls.submit(sent, add, **options)
    await calls.result(injection.id, on_progress)
    found.grow(await calls.download(injection.id, back), [name_of(one) for one in add])
    return injection.id


def _are_used(pictures: Pictures | None, options: InjectionOptions) -> bool:
    """Tell whether pictures would be used; HeadgraftError where a user's own would not be."""
    if pictures is None:
        return False
    calibration, why = options.get("calibration") or {}, None
    if calibration.get("enabled") is False and options.get("method") not in (None, "auto"):
        why = "calibration is off"
    elif options.get("features_id") is not None:
        why = "features_id takes their place"
    if why and not is_generic(pictures):
        raise HeadgraftError(None, "invalid_pictures", f"nothing would use the pictures: {why}")
    return why is None


async def _forget(calls: Calls, features: str) -> None:
    """Delete features that nothing needs any more; a live injection keeps them till they expire."""
    with suppress(HeadgraftError):
        await calls.delete_features(features)


def name_of(entry: Entry) -> str:
    """Return the bare name of a class."""
    return entry if isinstance(entry, str) else entry["name"]
