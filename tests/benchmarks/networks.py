"""Grafts classes onto one small network of every family that three libraries have.

    python -m tests.benchmarks.networks               # all; about ten minutes on a core
    python -m tests.benchmarks.networks timm vit      # of one library, names that hold "vit"

Weights are random, and no service is needed: the head is sent to the code that a worker runs.
A network works where its old logits stay (bit for bit is counted apart), the new ones are there,
and its own library loads the saved tensors into a network of more classes. A refusal is listed,
to be judged by its reason.
"""

import argparse
import gc
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from headgraft import HeadgraftError
from headgraft.classifiers import Classifier, find_classifier
from headgraft.models.embeddings.torchvision_ops import import_torchvision
from headgraft.models.errors import InjectionError
from headgraft.models.progress import Progress
from headgraft.workers.formats.find_head import find_head
from headgraft.workers.formats.header import HeaderError
from headgraft.workers.formats.safetensors import read_header
from headgraft.workers.jobs.spec import JobSpec
from headgraft.workers.run.job import HEAD_FILE, EncoderRegistry, run_job
from headgraft.workers.torch_files.convert import ConversionLimits
from tests import checkpoints

SEEN, ADDED = 23, 2  # no layer of these networks is 23 wide
NAMES, NEW = checkpoints.class_names(SEEN), checkpoints.class_names(ADDED, "new")
SMALL = ("test", "atto", "femto", "pico", "nano", "tiny", "xxs", "xs", "x0_5", "050", "18", "_s")
Build = Callable[[int], nn.Module]


@dataclass(frozen=True)
class Trial:
    """A network by its library's name for it, how to build it, and the pictures it reads."""

    name: str
    build: Build
    size: tuple[int, ...] = (3, 224, 224)


def timm_trials() -> Iterator[Trial]:
    """Yield the smallest network of every module of timm, as far as names tell."""
    import timm

    for module in timm.list_modules():
        names = sorted(timm.list_models(module=module), key=lambda one: (_rank(one), len(one), one))
        chosen = [*names[:1], *[name for name in names[1:] if "distilled" in name][:1]]
        for name in chosen:
            size = timm.get_pretrained_cfg_value(name, "input_size")
            yield Trial(f"{module}: {name}", _timm_builder(name), size or (3, 224, 224))


def _timm_builder(name: str) -> Build:
    import timm

    return lambda count: timm.create_model(name, num_classes=count)


def _rank(name: str) -> int:
    return next((number for number, sign in enumerate(SMALL) if sign in name), len(SMALL))


def torchvision_trials() -> Iterator[Trial]:
    """Yield all classifiers of torchvision but the largest ones of a kind."""
    import torchvision  # type: ignore[import-untyped]  # it has no types

    models = torchvision.models
    for name in models.list_models(module=models):
        if not any(sign in name for sign in ("_h_14", "_l_", "64gf", "128gf", "b6", "b7", "32gf")):
            size = (3, 299, 299) if "inception" in name else (3, 224, 224)
            yield Trial(name, _torchvision_builder(name), size)


def _torchvision_builder(name: str) -> Build:
    import torchvision

    return lambda count: torchvision.models.get_model(name, weights=None, num_classes=count)


def transformers_trials() -> Iterator[Trial]:
    """Yield every image classifier of transformers, two layers deep where its config says how."""
    import transformers
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING
    from transformers.models.auto.modeling_auto import (
        MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES as CLASSES,
    )

    for kind, names in CLASSES.items():
        for name in names if isinstance(names, tuple) else (names,):
            model = getattr(transformers, name)
            yield Trial(name, partial(_hugging_face, CONFIG_MAPPING[kind], model), (3, 0, 0))


def _hugging_face(config_class: Any, model: Any, count: int) -> nn.Module:
    config = config_class()
    if isinstance(getattr(config, "num_hidden_layers", None), int) and not hasattr(
        config, "depths"
    ):
        config.num_hidden_layers = min(2, config.num_hidden_layers)
    config.num_labels = count
    network: nn.Module = model(config)
    return network


LIBRARIES = {
    "timm": timm_trials,
    "torchvision": torchvision_trials,
    "transformers": transformers_trials,
}


def graft(found: Classifier, folder: Path) -> None:
    """Grow a classifier as client and worker do together."""
    sent = folder / "sent.safetensors"
    found.save(sent)
    with sent.open("rb") as file:
        header, _ = read_header(file)
    tensors = find_head(header, class_count=SEEN, weight=found.tensors.weight)
    assert tensors.layers == found.tensors.layers, "the worker found another head"
    head = {"path": "x", "sha256": "0", "bytes": 1, "tensors": tensors, "class_names": NAMES}
    document = {
        "head": {**head, "metric": "linear", "scale": 1.0},
        "add": NEW,
        "class_embeddings": checkpoints.vectors(SEEN, ADDED),
        "method": "ridge",
        "settings": {},
        "calibration": {"enabled": False},
        "timeout_seconds": 60,
    }
    spec = JobSpec.model_validate(document)
    registry = EncoderRegistry(None, None, "cpu")
    limits = ConversionLimits(1 << 30, 60)
    run_job(spec, sent, folder, registry=registry, device="cpu", limits=limits, progress=Progress())
    found.grow(folder / HEAD_FILE, NEW)


def try_one(trial: Trial) -> str:
    """Return how it ended: "works", "works, bits differ", "refused: ...", or what is wrong."""
    torch.manual_seed(0)
    network = trial.build(SEEN).eval()
    try:
        found = find_classifier(network, NAMES, None)
    except HeadgraftError as error:
        return f"refused: {error.detail}"
    with torch.no_grad():
        for name, owner in found.owners.items():
            held = getattr(owner, name.rpartition(".")[2])
            if not held.any():  # as some are before training
                held.copy_(torch.randn(held.shape) / 10)
    found._renew()
    images = _images(network, trial.size)
    old_NC = logits(network, images)
    with tempfile.TemporaryDirectory() as folder:
        try:
            graft(found, Path(folder))
        except (HeaderError, InjectionError) as error:
            return f"refused: {error}"
    new_NC = logits(network, images)
    if new_NC.shape != (len(old_NC), SEEN + ADDED):
        return f"WRONG: logits {tuple(new_NC.shape)}"
    larger = trial.build(SEEN + ADDED).eval()
    larger.load_state_dict(network.state_dict())
    if not torch.equal(logits(larger, images), new_NC):
        return "WRONG: the library's own network answers otherwise"
    kept_NC = new_NC[:, :SEEN]
    if torch.equal(kept_NC, old_NC):
        return "works"
    off = float((kept_NC - old_NC).abs().max() / old_NC.abs().max())
    return "works, last bits differ" if off < 1e-5 else f"WRONG: old logits are off by {off:g}"


def _images(network: nn.Module, size: tuple[int, ...]) -> Tensor:
    channels, height, width = size
    if not height:
        config: Any = network.config
        vision = getattr(config, "vision_config", config)
        side = getattr(vision, "image_size", 224) or 224
        height, width = side if isinstance(side, list | tuple) else (side, side)
        channels = getattr(vision, "num_channels", 3)
    return torch.rand(2, channels, height, width)


def logits(network: nn.Module, images: Tensor) -> Tensor:
    """Answer as the network does."""
    with torch.inference_mode():
        torch.manual_seed(1)
        answer: Any = network(images)
    answer = getattr(answer, "logits", answer)
    scores: Tensor = answer[0] if isinstance(answer, tuple | list) else answer
    return scores


def main(arguments: list[str]) -> int:
    """Print a line a network, and how many ended how; 1 where any is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("library", nargs="?", choices=sorted(LIBRARIES))
    parser.add_argument("part", nargs="?", default="")
    wanted = parser.parse_args(arguments)
    warnings.simplefilter("ignore")
    import_torchvision()
    ends: Counter[str] = Counter()
    for library in [wanted.library] if wanted.library else LIBRARIES:
        for trial in LIBRARIES[library]():
            if wanted.part not in trial.name:
                continue
            try:
                end = try_one(trial)
            except Exception as error:
                end = f"ERROR: {type(error).__name__}: {str(error).splitlines()[:1]}"
            ends[f"{library}: {end.partition(':')[0]}"] += 1
            print(f"{library} {trial.name}: {end}", flush=True)
            gc.collect()
    for end, count in sorted(ends.items()):
        print(count, end)
    return any("WRONG" in end for end in ends)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
