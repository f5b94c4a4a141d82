"""Sends the classifier of a torch network through an injection, and puts back the result."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from headgraft.arguments import Entry, InjectionOptions
from headgraft.calls import Calls, OnProgress
from headgraft.classifiers import Network, find_classifier


async def inject(
    calls: Calls,
    network: Network,
    add: Sequence[Entry],
    classifier: str | None,
    on_progress: OnProgress | None,
    options: InjectionOptions,
) -> Network:
    """Add classes to a torch network's classifier, in place, and return the network.

    Of the network only the classifier is sent: the layer named `classifier`, or the one that is
    found. `class_names` are its classes in row order, unless its `config` names them. Its old rows
    stay as they are, bit for bit. HeadgraftError, and nothing changed, where it cannot be done.
    """
    given = options.get("class_names")
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
        sent, back = Path(scratch) / "sent.safetensors", Path(scratch) / "grown.safetensors"
        found.save(sent)
        injection = await calls.submit(sent, add, **options)
        await calls.result(injection.id, on_progress)
        found.grow(await calls.download(injection.id, back), [name_of(one) for one in add])
    return network


def name_of(entry: Entry) -> str:
    """Return the bare name of a class."""
    return entry if isinstance(entry, str) else entry["name"]
