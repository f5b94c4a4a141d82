"""Trains the rows of a cosine classifier on features, its logits adjusted for unseen classes."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.nn.functional import cross_entropy, normalize

from headgraft.models.progress import Report

LOOK_EVERY = 16  # steps: reading a loss makes the device wait
STAGE = "training rows"


@dataclass(frozen=True)
class CosineClassifierConfig:
    """The constants of a training; logits are cosines divided by `temperature`.

    The learning rate halves once, after `halve_after` epochs (0: never).
    """

    temperature: float = 0.01
    learning_rate: float = 5e-5
    epochs: int = 100
    batch_size: int = 1800
    weight_decay: float = 0.0
    halve_after: int = 0


def train_cosine(
    features_ND: Tensor,
    labels_N: Tensor,
    start_CD: Tensor,
    config: CosineClassifierConfig,
    offsets_C: Tensor,
    report: Report,
    generator: torch.Generator,
) -> Tensor:
    """Train a copy of `start_CD` and return it: rows (C, D) of any length, on its device.

    `offsets_C` are added to the logits, in training only. `report` is called before every step
    and may raise. `generator` is one of the CPU.
    """
    rows_CD = Parameter(start_CD.detach().float().clone())
    train_rows(
        lambda: rows_CD,
        [rows_CD],
        (features_ND, labels_N),
        config,
        offsets_C,
        report,
        generator,
    )
    return rows_CD.detach()


def train_rows(
    rows: Callable[[], Tensor],
    parameters: Iterable[Parameter],
    labelled: tuple[Tensor, Tensor],
    config: CosineClassifierConfig,
    offsets_C: Tensor,
    report: Report,
    generator: torch.Generator,
) -> None:
    """Train, in place, the parameters from which `rows()` makes all rows (C, D).

    `labelled` are features (N, D) of any length and labels (N,); the rest as in `train_cosine`.
    """
    features_ND, labels_N = normalize(labelled[0].float()), labelled[1]
    adam = torch.optim.Adam(
        parameters,
        config.learning_rate,
        betas=(0.5, 0.999),
        weight_decay=config.weight_decay,
        fused=True,
    )
    offsets_C = offsets_C.to(features_ND)
    steps, number, loss = config.epochs * -(-len(labels_N) // config.batch_size), 0, None
    for epoch in range(config.epochs):
        if epoch and epoch == config.halve_after:
            adam.param_groups[0]["lr"] /= 2
        order_N = torch.randperm(len(labels_N), generator=generator).to(labels_N.device)
        for batch_B in torch.split(order_N, config.batch_size):
            report(number / steps, STAGE, _read(loss, number))
            logits_BC = features_ND[batch_B] @ normalize(rows()).T / config.temperature
            loss = cross_entropy(logits_BC + offsets_C, labels_N[batch_B])
            adam.zero_grad()
            torch.autograd.backward(loss)
            adam.step()
            number += 1


def _read(loss: Tensor | None, step: int) -> float | None:
    return None if loss is None or step % LOOK_EVERY != 1 else float(loss.detach())


def offsets(counts_S: Tensor, unseen: int, r: float) -> Tensor:
    """Return what to add to the training logits (C,): log p(class | group) + log p(group), float32.

    A seen class's share of its group is its share of `counts_S`, an unseen one's is 1 / unseen;
    the groups' odds are r : 1. A larger `r` favours unseen classes once the offsets are dropped.
    The scale is that of the logits, so `r` goes with their temperature. ValueError where a seen
    class has no sample, or there is no unseen class, or r is not positive.
    """
    if unseen < 1 or r <= 0:
        raise ValueError(f"{unseen} unseen classes at r = {r:g}: both must be positive")
    if not (counts_S > 0).all():
        empty = int((counts_S <= 0).nonzero()[0])
        raise ValueError(f"seen class {empty} has no sample: its offset would be infinite")
    share_S = counts_S.double() / counts_S.sum()
    seen_S = share_S.log() - torch.log1p(share_S.new_tensor(1 / r))
    unseen_1 = -torch.log1p(share_S.new_tensor(r)) - share_S.new_tensor(unseen).log()
    return torch.cat([seen_S, unseen_1.expand(unseen)]).float()
