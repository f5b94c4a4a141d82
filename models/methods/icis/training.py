"""Trains the two autoencoders, for as long as the authors do or as hidden classes get better."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity, cross_entropy, normalize

from headgraft.models.learners.training import PlateauStopper, descend
from headgraft.models.methods.icis.autoencoders import Autoencoders
from headgraft.models.methods.icis.settings import IcisSettings
from headgraft.models.progress import Report

FLAT_SLOPE = {"cosine": 2e-3, "mse": 2e-6}  # the authors'
HIDDEN_MIN = 10  # seen classes: fewer, and none is hidden
STEPS_BLIND = 40  # where none is hidden; what 900 ImageNet classes need
LOOK_EVERY = 4  # steps
PATIENCE = 2  # looks without gain
LEAST_GAIN = 3e-3  # relative
TEMPERATURE = 0.05  # of cosines
NUMBERS_MAX = 100_000_000  # of one matrix of what rows say to the seen ones: 400 MB
STAGE = "training"


@dataclass(frozen=True)
class Step:
    """One step that was taken, counted from 1, and whether it was its epoch's last."""

    number: int
    loss: float
    ends_epoch: bool


ShouldEnd = Callable[[Autoencoders, Step], bool]
OnStep = Callable[[int, float], None]


def train_as_authors(
    embeddings_CA: Tensor,
    rows_SK: Tensor,
    settings: IcisSettings,
    report: Report,
) -> Autoencoders:
    """Train on all classes (the first S are seen) until the loss is flat, or to the last epoch."""
    flat, losses = PlateauStopper(FLAT_SLOPE[settings.loss]), list[float]()
    limit = settings.epochs * -(-len(embeddings_CA) // settings.constants.batch_size)

    def ends(_networks: Autoencoders, step: Step) -> bool:
        losses.append(step.loss)
        if not step.ends_epoch:
            return False
        mean = sum(losses) / len(losses)
        losses.clear()
        return settings.early_stop and flat.add(mean)

    return _train(
        embeddings_CA,
        rows_SK,
        settings,
        ends,
        lambda step, loss: report((step - 1) / limit, STAGE, loss),
    )


def train_watching(
    embeddings_CA: Tensor,
    rows_SK: Tensor,
    hidden_S: Tensor,
    settings: IcisSettings,
    report: Report,
) -> Autoencoders:
    """Train twice: without the hidden seen classes to learn for how many steps, then on all.

    Every few steps the rows predicted for the hidden classes are compared with their true ones.
    With fewer than 10 seen classes none is hidden, and the number of steps is a constant.
    """
    steps = STEPS_BLIND
    if len(rows_SK) >= HIDDEN_MIN:
        steps = _steps_until_worse(embeddings_CA, rows_SK, hidden_S, settings, report)
    return _train(
        embeddings_CA,
        rows_SK,
        settings,
        lambda _networks, step: step.number >= steps,
        lambda step, loss: report(0.5 + (step - 1) / steps / 2, STAGE, loss),
    )


def _steps_until_worse(
    embeddings_CA: Tensor,
    rows_SK: Tensor,
    hidden_S: Tensor,
    settings: IcisSettings,
    report: Report,
) -> int:
    """Return the last step at which the hidden classes' rows came nearer or apart."""
    seen_SA, others_UA = embeddings_CA[: len(rows_SK)], embeddings_CA[len(rows_SK) :]
    hidden_HA, truth_HK = seen_SA[hidden_S], rows_SK[hidden_S]
    least, best = (float("inf"), float("inf")), 0

    def ends(networks: Autoencoders, step: Step) -> bool:
        nonlocal least, best
        if step.number % LOOK_EVERY:
            return False
        predicted_HK = networks.predict(hidden_HA)
        far = float(1 - cosine_similarity(predicted_HK, truth_HK).mean())
        confused = confusion(predicted_HK, truth_HK, rows_SK)
        if far < least[0] * (1 - LEAST_GAIN) or confused < least[1] * (1 - LEAST_GAIN):
            best = step.number
        least = min(far, least[0]), min(confused, least[1])
        return step.number - best >= PATIENCE * LOOK_EVERY

    kept_CA = torch.cat([seen_SA[~hidden_S], others_UA, hidden_HA])
    # How many steps these will be is not known: the fraction approaches a half.
    _train(
        kept_CA,
        rows_SK[~hidden_S],
        settings,
        ends,
        lambda step, loss: report(step / (step + STEPS_BLIND) / 2, STAGE, loss),
    )
    return best or STEPS_BLIND


def computes_bfloat16(device: torch.device) -> bool:
    """Tell whether a device multiplies bfloat16 itself: else it is slower than float32."""
    if device.type != "cpu":
        return device.type == "cuda"
    able = torch.cpu.get_capabilities()
    return bool(able.get("avx512_bf16") or able.get("amx_bf16"))


def confusion(predicted_HK: Tensor, truth_HK: Tensor, rows_SK: Tensor) -> float:
    """Return how hard it is to tell which true row is meant by each predicted one.

    The cross-entropy of their cosines, in what they say to the seen rows: directions in which
    these do not vary are no use. The mean cosine alone stops too early, since it is best while
    predicted rows are still much alike. Of a very large head, the first of the rows must do.
    """
    few = max(1, NUMBERS_MAX // len(rows_SK))
    predicted_HK, truth_HK = predicted_HK[:few], truth_HK[:few]
    mean_K = rows_SK.mean(dim=0)
    centred_KS = (rows_SK - mean_K).T
    predicted_HS = normalize((predicted_HK - mean_K) @ centred_KS)
    cosine_HH = predicted_HS @ normalize((truth_HK - mean_K) @ centred_KS).T
    own_H = torch.arange(len(truth_HK), device=truth_HK.device)
    return float(cross_entropy(cosine_HH / TEMPERATURE, own_H))


def _train(
    embeddings_CA: Tensor,
    rows_SK: Tensor,
    settings: IcisSettings,
    ends: ShouldEnd,
    on_step: OnStep,
) -> Autoencoders:
    # Weights and batches are drawn on the CPU: the same seed means the same on every device.
    constants = settings.constants
    half = computes_bfloat16(rows_SK.device) and not settings.faithful
    device, generator = rows_SK.device, torch.Generator().manual_seed(settings.seed)
    sizes = (embeddings_CA.shape[1], rows_SK.shape[1], constants.hidden_size)
    networks = Autoencoders(sizes, constants.init_std, generator, settings.layers).to(device)
    adam = torch.optim.Adam(networks.parameters(), constants.learning_rate, fused=True)
    classes = len(embeddings_CA) if settings.terms == "all" else len(rows_SK)
    number = 0
    for _ in range(settings.epochs):
        order_C = torch.randperm(classes, generator=generator).to(device)
        batches = torch.split(order_C, constants.batch_size)
        for index, batch_B in enumerate(batches, start=1):
            loss = _step(networks, adam, embeddings_CA, rows_SK, batch_B, settings, half=half)
            number += 1
            on_step(number, loss)
            if ends(networks, Step(number, loss, index == len(batches))):
                return networks
    return networks


def _step(
    networks: Autoencoders,
    adam: torch.optim.Adam,
    embeddings_CA: Tensor,
    rows_SK: Tensor,
    batch_B: Tensor,
    settings: IcisSettings,
    *,
    half: bool,
) -> float:
    seen_B = batch_B < len(rows_SK)
    with torch.autocast(rows_SK.device.type, torch.bfloat16, enabled=half):
        total = networks.loss(
            embeddings_CA[batch_B], rows_SK[batch_B[seen_B]], seen_B, settings.loss, settings.terms
        )
    return descend(adam, total)
