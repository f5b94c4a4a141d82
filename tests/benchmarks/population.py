"""The heads that calibration is judged on, with pictures to choose by and others that measure.

Three ImageNet heads and parts of them, and heads trained here on four CLIP features a class. What
takes long (training, sentence vectors, the crops that Lite0 sees) is kept in the folder that
HEADGRAFT_BENCH_CACHE names, else in the system's folder for temporary files.
"""

import json
import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize

from headgraft.models.heads.head import Head, Metric
from headgraft.models.task import Task
from headgraft.workers.pictures import lite0
from headgraft.workers.pictures.generic import generic_crops
from tests.benchmarks.data import read_class_names, read_embeddings
from tests.benchmarks.texts import encode_texts

EMBEDDINGS = ("clip_vit_b32_text", "conceptnet+wiki2vec", "minilm:gloss", "minilm:names")
TRAINING = 4  # of the seven CLIP features a class; the next is shown to calibration, two measure
CLIP_LENGTH = 10.0  # about that of CLIP's features before they were made unit
SHOWN = 2 / 3  # of a pretrained head's seen classes, of which there is one picture each
CROPS = 1000


@dataclass(frozen=True)
class Recipe:
    """How a head comes about: the rows of a network's head, or a training on CLIP features.

    `classes` are seen, `unseen` are added. `decay` is the L2 penalty of the training's loss.
    `animals`: seen and unseen classes are animals, and the generic pictures show other things.
    """

    network: str
    classes: int = 900
    unseen: int = 100
    bias: bool = True
    decay: float = 0.0
    smoothing: float = 0.0
    steps: int = 60
    metric: Metric = "linear"
    animals: bool = False


ANIMALS = 398  # the first classes of ImageNet
POPULATION = {
    "lite0": Recipe("lite0"),
    "mobilenet_v2": Recipe("mobilenet_v2"),
    "mobilenet_v1_050": Recipe("mobilenet_v1_050"),
    "lite0 of 250": Recipe("lite0", 250, 50),
    "mobilenet_v2 of 250": Recipe("mobilenet_v2", 250, 50),
    "mobilenet_v1_050 of 250": Recipe("mobilenet_v1_050", 250, 50),
    "clip strong decay": Recipe("clip", 800, 100, bias=False, decay=1e-4),
    "clip weak decay": Recipe("clip", 800, 100, bias=False, decay=1e-6),
    "clip cosine": Recipe("clip", 800, 100, bias=False, metric="cosine"),
    "clip 500 smoothed": Recipe("clip", 500, 100, decay=1e-6, smoothing=0.1),
    "clip 500 short": Recipe("clip", 500, 100, bias=False, steps=8),
    "clip 200 strong decay": Recipe("clip", 200, 50, decay=1e-3),
    "clip 200 no decay": Recipe("clip", 200, 50, bias=False, steps=200),
    "clip 200 animals": Recipe("clip", 200, 50, decay=1e-5, animals=True),
    "clip 200 cosine": Recipe("clip", 200, 50, bias=False, metric="cosine"),
    "clip 50": Recipe("clip", 50, 20, decay=1e-5),
    "clip 50 smoothed": Recipe("clip", 50, 20, bias=False, decay=1e-4, smoothing=0.1),
}


@dataclass(frozen=True, eq=False)
class Case:
    """A head, one class embedding and one split: a task, and pictures as the network sees them.

    `labels_N` are in the extended head's order. `shown_MD` are pictures of seen classes that
    calibration may be given, with or without `shown_labels_M`; `generic_GD` show anything at all.
    No picture that is shown measures.
    """

    name: str
    embedding: str
    task: Task
    features_ND: Tensor
    labels_N: Tensor
    shown_MD: Tensor
    shown_labels_M: Tensor
    generic_GD: Tensor

    @property
    def own_accuracy(self) -> float:
        """The share of the seen classes' pictures that the head recognises, measured and shown."""
        seen_N = self.labels_N < self.task.head.class_count
        features_ND = torch.cat([self.features_ND[seen_N], self.shown_MD])
        labels_N = torch.cat([self.labels_N[seen_N], self.shown_labels_M])
        hits_N = self.task.head.logits(features_ND).argmax(dim=1) == labels_N
        return float(hits_N.double().mean())


def network_of(name: str) -> str:
    """Return what heads have in common that must be left out together: the pretrained network."""
    recipe = POPULATION[name]
    return name if recipe.network == "clip" else recipe.network


def cases(folder: Path, name: str, embedding: str, folds: range) -> Iterator[Case]:
    """Yield a head's cases, one a fold."""
    recipe, embeddings_CA = POPULATION[name], embeddings_of(folder, embedding)
    make = _trained if recipe.network == "clip" else _pretrained
    for fold in folds:
        yield replace(make(folder, recipe, embeddings_CA, fold), name=name, embedding=embedding)


def _pretrained(folder: Path, recipe: Recipe, embeddings_CA: Tensor, fold: int) -> Case:
    tensors = load_file(folder / f"{recipe.network}_head.safetensors")
    images = load_file(folder / f"{recipe.network}_images.safetensors")
    order_C = images["labels"].long().argsort()
    features_CD = images["features"].float()[order_C]
    seen, unseen = _split(folder, "unseen_100_of_1000", recipe, fold)
    lot = torch.randperm(len(seen), generator=torch.Generator().manual_seed(fold))
    shown, kept = lot[: int(SHOWN * len(seen))], lot[int(SHOWN * len(seen)) :]
    weight_SD, bias_S = tensors["weight"][seen].float(), tensors["bias"][seen].float()
    return Case(
        "",
        "",
        _task(folder, embeddings_CA, seen, unseen, Head(weight_SD, bias_S, _names(folder, seen))),
        torch.cat([features_CD[seen[kept]], features_CD[unseen]]),
        torch.cat([kept, len(seen) + torch.arange(len(unseen))]),
        features_CD[seen[shown]],
        shown,
        read_crops(folder, recipe.network),
    )


def _trained(folder: Path, recipe: Recipe, embeddings_CA: Tensor, fold: int) -> Case:
    (features_C7D,) = load_file(folder / "imagenet_clip_vit_b32_features.safetensors").values()
    features_C7D = CLIP_LENGTH * normalize(features_C7D.float(), dim=2)
    seen, unseen = _split(folder, "unseen_200_of_1000", recipe, fold)
    head = _train(features_C7D[seen, :TRAINING], _names(folder, seen), recipe)
    measured = torch.cat([seen, unseen])
    first = TRAINING + 1
    labels_N = torch.arange(len(measured)).repeat_interleave(features_C7D.shape[1] - first)
    # No weights of CLIP are at hand to run generic pictures: classes of neither kind stand in.
    strange_C = torch.ones(len(features_C7D), dtype=torch.bool)
    strange_C[measured] = False
    if recipe.animals:
        strange_C[:ANIMALS] = False
    strange = strange_C.nonzero()[:, 0]
    per_class = -(-CROPS // len(strange))
    return Case(
        "",
        "",
        _task(folder, embeddings_CA, seen, unseen, head),
        features_C7D[measured, first:].flatten(0, 1),
        labels_N,
        features_C7D[seen, TRAINING],
        torch.arange(len(seen)),
        features_C7D[strange, :per_class].flatten(0, 1)[:CROPS],
    )


def _split(folder: Path, key: str, recipe: Recipe, fold: int) -> tuple[Tensor, Tensor]:
    """Return the numbers of the seen and of the unseen classes of a fold, each sorted."""
    hidden = torch.tensor(json.loads((folder / "folds.json").read_text())[key][fold])
    others_C = torch.ones(1000, dtype=torch.bool)
    others_C[hidden] = False
    others = others_C.nonzero()[:, 0]
    if recipe.animals:
        hidden, others = hidden[hidden < ANIMALS], others[others < ANIMALS]
    generator = torch.Generator().manual_seed(fold)
    seen = others[torch.randperm(len(others), generator=generator)[: recipe.classes]]
    unseen = hidden[torch.randperm(len(hidden), generator=generator)[: recipe.unseen]]
    return seen.sort().values, unseen.sort().values


def _names(folder: Path, classes: Tensor) -> tuple[str, ...]:
    # Two ImageNet names stand twice, so a class is known by its number too.
    names = read_class_names(folder)
    return tuple(f"{index} {names[index]}" for index in classes.tolist())


def _task(folder: Path, embeddings_CA: Tensor, seen: Tensor, unseen: Tensor, head: Head) -> Task:
    return Task(head, embeddings_CA[seen], embeddings_CA[unseen], _names(folder, unseen))


def _train(features_SPD: Tensor, names: tuple[str, ...], recipe: Recipe) -> Head:
    """Train a head on P pictures a class by L-BFGS; one that was trained before is read."""
    key = sha256(f"{recipe} {names} {CLIP_LENGTH}".encode()).hexdigest()[:16]
    tensors = cached(f"trained-{key}", lambda: _descend(features_SPD, recipe))
    bias_S = tensors["bias"] if recipe.bias else None
    return Head(tensors["weight"], bias_S, names, recipe.metric, CLIP_LENGTH**2 / 2)


def _descend(features_SPD: Tensor, recipe: Recipe) -> dict[str, Tensor]:
    S, P, D = features_SPD.shape
    inputs_ND, labels_N = features_SPD.flatten(0, 1), torch.arange(S).repeat_interleave(P)
    generator = torch.Generator().manual_seed(0)
    weight_SD = torch.empty(S, D).normal_(0, 0.01, generator=generator).requires_grad_()
    bias_S = torch.zeros(S, requires_grad=recipe.bias)
    learned = [weight_SD, bias_S] if recipe.bias else [weight_SD]
    optimiser = torch.optim.LBFGS(learned, max_iter=recipe.steps, line_search_fn="strong_wolfe")

    def loss_of_step() -> Tensor:
        optimiser.zero_grad()
        if recipe.metric == "cosine":
            cosines_NS = normalize(inputs_ND) @ normalize(weight_SD).T
            logits_NS = CLIP_LENGTH**2 / 2 * cosines_NS
        else:
            logits_NS = inputs_ND @ weight_SD.T + bias_S
        loss = cross_entropy(logits_NS, labels_N, label_smoothing=recipe.smoothing)
        loss = loss + recipe.decay / 2 * weight_SD.square().sum()
        loss.backward()  # type: ignore[no-untyped-call]  # torch's
        return loss

    optimiser.step(loss_of_step)  # type: ignore[no-untyped-call]  # torch's
    return {"weight": weight_SD.detach(), "bias": bias_S.detach()}


@cache
def embeddings_of(folder: Path, name: str) -> Tensor:
    """Read class embeddings by name, or encode texts: `encoder:texts`."""
    encoder, colon, texts = name.partition(":")
    if not colon:
        return read_embeddings(folder, name)
    key = f"{encoder}-{texts}"
    return cached(key, lambda: {"vectors": encode_texts(folder, encoder, texts)})["vectors"]


@cache
def read_crops(folder: Path, network: str) -> Tensor:
    """Return features of crops of pictures that ship in packages, as a network sees them."""
    path = folder / f"{network}_crops.safetensors"
    if path.exists():
        features_ND: Tensor = load_file(path)["features"].float()
        return features_ND
    return cached(f"{network}-generic", lambda: {"features": _lite0_crops()})["features"]


def _lite0_crops() -> Tensor:
    """Run the packaged generic pictures' crops through Lite0."""
    size = (lite0.CROP, lite0.CROP)
    crops = [
        np.asarray(crop.resize(size, Image.Resampling.BILINEAR), dtype=np.float32)
        for crop in generic_crops()
    ]
    pictures = [torch.from_numpy((crop - 127) / 128).permute(2, 0, 1) for crop in crops]
    state = lite0.read_weights()
    starts = range(0, len(pictures), 50)
    return torch.cat([lite0.pooled_features(state, pictures[at : at + 50]) for at in starts])


def cached(name: str, make: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
    """Return tensors from the cache, made first where they are not in it."""
    named = os.environ.get("HEADGRAFT_BENCH_CACHE")
    folder = Path(named) if named else Path(tempfile.gettempdir()) / "headgraft-bench"
    path = folder / f"{name}.safetensors"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        save_file({key: tensor.contiguous() for key, tensor in make().items()}, path)
    tensors: dict[str, Tensor] = load_file(path)
    return tensors
