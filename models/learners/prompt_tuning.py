"""Tunes the text features of all classes on features of some, through a prompt or without one.

FLPT, the second stage of dfzsl (AAAI 2024, arXiv 2401.15657): four context vectors and one image
residual, both shared by all classes, are learned by cross-entropy at the encoder's logit scale.
Where there is no encoder, a map of the class embeddings takes the prompt's place.

Differs from the paper, by default: few classes chosen at random compete in a step, since each costs
a reading of the text tower, and the steps do not grow with the features.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize

from headgraft.models.embeddings.text_tower import TextTower
from headgraft.models.errors import InjectionError
from headgraft.models.features.batches import Batch, class_batches
from headgraft.models.learners.layers import seeded_linear
from headgraft.models.learners.training import Schedule, train_steps
from headgraft.models.progress import Report, within

RESIDUAL_WEIGHT = 0.005
STAGE = "tuning text"
CLIP_SCALE = 100.0
MAP_SIZE = 256  # hidden units of the map of class embeddings


@dataclass(frozen=True)
class PromptTuningConfig:
    """The constants of a tuning: in each step `classes` compete (0: all).

    With `steps` None, as many are taken as show every feature once. Without `residual`, image
    features are left alone. With `cosine_decay`, plain gradient descent whose steps shrink to
    nothing takes AdamW's place.
    """

    learning_rate: float = 3e-3
    weight_decay: float = 0.01
    batch_size: int = 256
    steps: int | None = 24
    classes: int = 40
    residual: bool = True
    cosine_decay: bool = False

    def steps_of(self, features: int) -> int:
        """Return the number of steps of a training on `features` features."""
        return -(-features // self.batch_size) if self.steps is None else self.steps

    def reads(self, features: int, competing: int) -> int:
        """Return how many prompts a training reads, forwards and back."""
        return self.steps_of(features) * (min(self.classes, competing) or competing)


@dataclass(frozen=True, eq=False)
class TunedText:
    """Unit text features (C, D) of all classes, and the image residual r (D,)."""

    text_CD: Tensor
    residual_D: Tensor


class TextTuner(Protocol):
    """What is tuned: the text features of the classes, and the image residual."""

    def parameters(self) -> Iterator[nn.Parameter]:
        """Yield what is learned."""

    def text(self, classes_M: Tensor) -> Tensor:
        """Return the unit text features (M, D) of these classes."""

    def residual(self) -> Tensor:
        """Return r (D,)."""


class PromptTuner(nn.Module):
    """A context of four vectors, and an MLP of it whose mean over the four is the residual."""

    def __init__(self, tower: TextTower, prompts_CL: Tensor, generator: torch.Generator) -> None:
        super().__init__()
        self._tower, self._prompts_CL = tower, prompts_CL
        self.context_4W = nn.Parameter(tower.context())
        self.widen = seeded_linear(tower.width, 4 * tower.width, generator).to(tower.device)
        self.narrow = _zero(seeded_linear(4 * tower.width, tower.feature_size, generator))
        self.narrow.to(tower.device)

    def text(self, classes_M: Tensor) -> Tensor:
        """Read the prompts of these classes: (M, D)."""
        return self._tower.encode(self._prompts_CL[classes_M], self.context_4W)

    def residual(self) -> Tensor:
        """Return r (D,), zero at the start."""
        hidden_4Z = self.widen(self.context_4W)
        residual_D: Tensor = self.narrow(hidden_4Z * torch.sigmoid(1.702 * hidden_4Z)).mean(dim=0)
        return residual_D


class EmbeddingTuner(nn.Module):
    """A map of class embeddings that all classes share, added to them, and a free residual."""

    def __init__(self, text_CD: Tensor, generator: torch.Generator, hidden: int = MAP_SIZE) -> None:
        super().__init__()
        size = text_CD.shape[1]
        self._text_CD = normalize(text_CD)
        self.widen = seeded_linear(size, hidden, generator).to(text_CD.device)
        self.narrow = _zero(seeded_linear(hidden, size, generator)).to(text_CD.device)
        self.residual_D = nn.Parameter(torch.zeros(size, device=text_CD.device))

    def text(self, classes_M: Tensor) -> Tensor:
        """Return the moved embeddings of these classes: (M, D)."""
        text_MD = self._text_CD[classes_M]
        return normalize(text_MD + self.narrow(self.widen(text_MD).relu()))

    def residual(self) -> Tensor:
        """Return r (D,), zero at the start."""
        return self.residual_D


def tune(
    tower: TextTower,
    class_names: Sequence[str],
    features_ND: Tensor,
    labels_N: Tensor,
    config: PromptTuningConfig,
    report: Report,
    generator: torch.Generator,
    *,
    competing: int,
    wanted: int = 0,
) -> TunedText:
    """Learn a prompt by features of the first `competing` classes; return all classes' text.

    Of the last `wanted` classes alone where that is not 0: each class takes a reading. On the
    tower's device. InjectionError where the features are not of the tower's size.
    """
    _check_sizes(tower.feature_size, features_ND)
    prompts_CL = tower.prompts(class_names)
    tuner = PromptTuner(tower, prompts_CL, generator)
    batches = _batches(labels_N.to(tower.device), competing, config, generator)
    # A step reads each of its classes forwards and backwards; the end reads all once.
    work = 2 * config.steps_of(len(labels_N)) * (config.classes or competing)
    read_CL = prompts_CL[-wanted:]
    share = work / (work + len(read_CL))
    fit(tuner, features_ND, batches, tower.scale, config, within(report, 0.0, share))
    return TunedText(
        read_all(tower, read_CL, tuner.context_4W.detach(), within(report, share, 1.0)),
        tuner.residual().detach(),
    )


def tune_embeddings(
    text_CD: Tensor,
    features_ND: Tensor,
    labels_N: Tensor,
    config: PromptTuningConfig,
    report: Report,
    generator: torch.Generator,
    *,
    competing: int,
    scale: float = CLIP_SCALE,
) -> TunedText:
    """Do as `tune` where no encoder is at hand: move the class embeddings (C, D) themselves.

    On the device of the embeddings. InjectionError where the features are not of their size.
    """
    _check_sizes(text_CD.shape[1], features_ND)
    tuner = EmbeddingTuner(text_CD, generator)
    batches = _batches(labels_N.to(text_CD.device), competing, config, generator)
    fit(tuner, features_ND, batches, scale, config, report)
    with torch.no_grad():
        moved_CD = tuner.text(torch.arange(len(text_CD), device=text_CD.device))
    return TunedText(moved_CD, tuner.residual().detach())


def fit(
    tuner: TextTuner,
    features_ND: Tensor,
    batches: Iterator[Batch],
    scale: float,
    config: PromptTuningConfig,
    report: Report,
) -> None:
    """Take a step down the cross-entropy for each batch, and report the loss of the one before."""
    steps = config.steps_of(len(features_ND))

    def loss_of_step() -> Tensor:
        batch = next(batches)
        text_MD = tuner.text(batch.classes_M)
        image_BD = normalize(features_ND[batch.features_B.to(features_ND.device)].to(text_MD))
        if config.residual:
            image_BD = normalize(image_BD + RESIDUAL_WEIGHT * tuner.residual())
        return cross_entropy(scale * image_BD @ text_MD.T, batch.targets_B)

    optimizer, schedule = _optimizer(tuner, config, steps)
    train_steps(steps, loss_of_step, optimizer, report, STAGE, schedule)


def read_all(
    tower: TextTower, prompts_CL: Tensor, context_4W: Tensor, report: Report, at_once: int = 64
) -> Tensor:
    """Encode every prompt with one context, (C, D), with a report for each batch of them."""
    parts = []
    for start in range(0, len(prompts_CL), at_once):
        report(start / len(prompts_CL), "reading text", None)
        with torch.no_grad():
            parts.append(tower.encode(prompts_CL[start : start + at_once], context_4W))
    return torch.cat(parts)


def residual_bias(rows_CD: Tensor, residual_D: Tensor) -> Tensor:
    """Return what the image residual adds to each unit row's cosine, (C,): a bias of the head.

    For unit features, the class of the largest cosine is the same as with the residual added.
    """
    return RESIDUAL_WEIGHT * (normalize(rows_CD) @ residual_D.to(rows_CD))


def _batches(
    labels_N: Tensor, competing: int, config: PromptTuningConfig, generator: torch.Generator
) -> Iterator[Batch]:
    steps = config.steps_of(len(labels_N))
    return class_batches(labels_N, competing, config.batch_size, steps, config.classes, generator)


def _optimizer(
    tuner: TextTuner, config: PromptTuningConfig, steps: int
) -> tuple[torch.optim.Optimizer, Schedule]:
    learned = list(tuner.parameters())
    if config.cosine_decay:
        descent = torch.optim.SGD(learned, config.learning_rate)
        return descent, torch.optim.lr_scheduler.CosineAnnealingLR(descent, max(steps, 1))
    adamw = torch.optim.AdamW(learned, config.learning_rate, weight_decay=config.weight_decay)
    return adamw, torch.optim.lr_scheduler.ConstantLR(adamw, factor=1.0)


def _check_sizes(text_size: int, features_ND: Tensor) -> None:
    if features_ND.shape[1] != text_size:
        raise InjectionError(
            f"the head reads {features_ND.shape[1]} numbers a picture, the text has {text_size}: "
            "only text and pictures of one model can be compared",
            pointer="/class_embeddings",
        )


def _zero(layer: nn.Linear) -> nn.Linear:
    nn.init.zeros_(layer.weight)
    return layer
