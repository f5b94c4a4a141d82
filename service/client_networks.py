"""Carries a network's classifier through an injection; what networks are it does not know."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from service.client_calls import Calls, OnProgress
from service.client_grafting import Network, find_classifier
from service.client_wishes import Entry, Wishes


async def inject(
    calls: Calls,
    network: Network,
    add: Sequence[Entry],
    classifier: str | None,
    on_progress: OnProgress | None,
    wishes: Wishes,
) -> Network:
    """Add classes to a torch network's classifier, in place, and return the network.

    Of the network only the classifier is sent: the layer named `classifier`, or the one that is
    found. `class_names` are its classes in row order, unless its `config` names them. Its old rows
    stay as they are, bit for bit. HeadgraftError, and nothing changed, where it cannot be done.
    """
    given = wishes.get("class_names")
    found = find_classifier(network, [name_of(one) for one in given] if given else None, classifier)
    head = {
        **(wishes.get("head") or {}),
        "weight": found.tensors.weight,
        "bias": found.tensors.bias,
    }
    wishes = {**wishes, "class_names": given or found.class_names, "head": head}
    with TemporaryDirectory(prefix="headgraft-") as scratch:
        sent, back = Path(scratch) / "head.safetensors", Path(scratch) / "head.pt"
        found.save(sent)
        injection = await calls.submit(sent, add, **wishes)
        await calls.result(injection.id, on_progress)
        found.grow(await calls.download(injection.id, back, "pt"), [name_of(one) for one in add])
    return network


def name_of(entry: Entry) -> str:
    """Return the bare name of a class."""
    return entry if isinstance(entry, str) else entry["name"]
