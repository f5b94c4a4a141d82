"""Trains the seen head of the ICIS protocol; it does not know how the features came about.

As the paper does: Linear with bias, N(0, 0.02), Adam at 1e-4, 100 epochs, no picture but those
given: the last epoch counts, where the authors' release keeps the best on the test pictures.
Where the paper is silent: biases start at 0, Adam's decays are 0.9 and 0.999.
"""

from dataclasses import dataclass

import torch
from torch.nn.functional import cross_entropy

from headgraft.models.features.labelled import NamedFeatures
from headgraft.models.heads.head import Head

DEVIATION = 0.02
LEARNING_RATE = 1e-4
EPOCHS = 100


def batch_size(class_count: int) -> int:
    """Return the paper's: 16, and 20 for a benchmark of 50 classes."""
    return 20 if class_count == 50 else 16


@dataclass(frozen=True)
class Recipe:
    """How to train: pictures a step, passes over all of them."""

    batch: int
    epochs: int = EPOCHS
    seed: int = 0
    device: str = "cpu"


def train(pictures: NamedFeatures, class_names: tuple[str, ...], recipe: Recipe) -> Head:
    """Return a head of these classes, in order, that was trained on all of the pictures."""
    # Weights and batches are drawn on the CPU: the same seed means the same on every device.
    generator = torch.Generator().manual_seed(recipe.seed)
    features_ND = pictures.features_NF.to(recipe.device)
    labels_N = pictures.rows_in(class_names).to(recipe.device)
    start_SD = torch.empty(len(class_names), features_ND.shape[1])
    weight_SD = (
        start_SD.normal_(0, DEVIATION, generator=generator).to(recipe.device).requires_grad_()
    )
    bias_S = torch.zeros(len(class_names), device=recipe.device, requires_grad=True)
    adam = torch.optim.Adam([weight_SD, bias_S], LEARNING_RATE, fused=True)
    for _ in range(recipe.epochs):
        order_N = torch.randperm(len(labels_N), generator=generator).to(recipe.device)
        for chosen_B in torch.split(order_N, recipe.batch):
            loss = cross_entropy(features_ND[chosen_B] @ weight_SD.T + bias_S, labels_N[chosen_B])
            adam.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]  # torch's
            adam.step()
    return Head(weight_SD.detach().cpu(), bias_S.detach().cpu(), class_names)


def held_out_accuracy(
    pictures: NamedFeatures, class_names: tuple[str, ...], recipe: Recipe
) -> float:
    """Train another head on nine tenths of the pictures; return its accuracy on the last tenth."""
    generator = torch.Generator().manual_seed(recipe.seed)
    order_N = torch.randperm(len(pictures.labels_N), generator=generator)
    held_out = len(order_N) // 10 or 1
    rest, tenth = (_part(pictures, part) for part in (order_N[held_out:], order_N[:held_out]))
    head = train(rest, class_names, recipe)
    hits_N = head.logits(tenth.features_NF).argmax(dim=1) == tenth.rows_in(class_names)
    return float(hits_N.double().mean())


def _part(pictures: NamedFeatures, numbers: torch.Tensor) -> NamedFeatures:
    return NamedFeatures(
        pictures.features_NF[numbers], pictures.labels_N[numbers], pictures.class_names
    )
