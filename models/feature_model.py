"""Draws virtual picture features from a head alone; it does not know what is asked of them.

A linear classifier near its optimum is its classes' discriminant, w_c = Sigma^-1 mu_c, so the
spread of its rows tells the covariance of the features it was trained on: where rows vary much,
features do. Here Sigma = I + R / r, R the covariance of the rows, r a multiple of its mean
eigenvalue; class means are Sigma w_c. A strongly regularised head is rather a list of class means,
and such rows under such a Sigma would often be wrong even about clean features: r grows until the
head is about as right as ever. A real picture is less simple: its class shows more or
less strongly (`gain`), and it holds something of another, mostly related class. The strength of
that distractor is set so that the head itself has the accuracy it is known, or assumed, to have;
where even the strongest does not suffice, the noise is.

Constants were read off the pictures of one head (tests/benchmarks/LOG.md says which).
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

IMAGES = 2000
PROBES = 500
MEAN_EIGENVALUES = 2.0  # r, in mean eigenvalues of the rows' covariance, if the head agrees
MEAN_EIGENVALUES_MAX = 2.0**12
CLEAN_SHARE = 0.99  # of its accuracy, without distractor, on features with one common covariance
NOISE_SHARE = 0.75  # how much of R the spread within a class has, against the means
MAHALANOBIS = 12.0  # root mean square distance of a class mean from the centre, in noise
GAIN_MEAN, GAIN_DEVIATION = 0.9, 0.22
DISTRACTOR_MAX = 4.0  # its share is uniform up to at most this
DISTRACTOR_WIDTH = 0.1  # in cosine between class means
BISECTIONS = 10


@dataclass(frozen=True, eq=False)
class VirtualFeatures:
    """Features (N, R) in the basis (D, R) of the centred rows, about the mean feature.

    The mean feature itself is taken to favour no class. `head_accuracy` is what the head itself
    scores on them.
    """

    coordinates_NR: Tensor  # noqa: N815 - shape suffix
    labels_N: Tensor  # noqa: N815 - shape suffix
    basis_DR: Tensor  # noqa: N815 - shape suffix
    head_accuracy: float

    def scores(self, weight_CD: Tensor) -> Tensor:
        """Return the products (N, C) of the features, less the mean feature, with rows."""
        return self.coordinates_NR @ (weight_CD.to(self.basis_DR) @ self.basis_DR).T


def draw(weight_SD: Tensor, accuracy: float, *, seed: int = 0) -> VirtualFeatures:
    """Draw about IMAGES features of the classes whose rows are given, in float32.

    `accuracy` is the share of features the head itself gets right. At least 2 rows that differ.
    """
    generator = torch.Generator().manual_seed(seed)
    weight_SD = weight_SD.detach().to("cpu", torch.float32)
    rows_SR, basis_DR = _coordinates(weight_SD - weight_SD.mean(dim=0))
    labels_N = _labels(len(weight_SD), generator)
    means_SR, noise_R = _agreeing(rows_SR, labels_N, generator)
    parts = _parts(means_SR, noise_R, labels_N, generator)
    coordinates_NR, reached = _mix(parts, rows_SR, labels_N, accuracy)
    return VirtualFeatures(coordinates_NR, labels_N, basis_DR, reached)


def _coordinates(centred_SD: Tensor) -> tuple[Tensor, Tensor]:
    """Turn centred rows into their principal axes, by the smaller of the two Gram matrices."""
    S, D = centred_SD.shape
    gram = centred_SD @ centred_SD.T if S < D else centred_SD.T @ centred_SD
    values, vectors = torch.linalg.eigh(gram)
    kept = values > values.max() * 1e-5
    vectors = vectors[:, kept]
    basis_DR = centred_SD.T @ vectors / values[kept].sqrt() if S < D else vectors
    return centred_SD @ basis_DR, basis_DR


def _agreeing(
    rows_SR: Tensor, labels_N: Tensor, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Find the class means and noise under which the head would be a good one."""
    own_N, draws_NR = labels_N[:PROBES], torch.randn(PROBES, rows_SR.shape[1], generator=generator)

    def clean_accuracy(means_SR: Tensor, noise_R: Tensor) -> float:
        clean_NR = GAIN_MEAN * means_SR[own_N] + draws_NR[: len(own_N)] * noise_R
        return float(((clean_NR @ rows_SR.T).argmax(dim=1) == own_N).float().mean())

    wanted = CLEAN_SHARE * clean_accuracy(*_spectra(rows_SR, MEAN_EIGENVALUES_MAX))
    eigenvalues = MEAN_EIGENVALUES
    while eigenvalues < MEAN_EIGENVALUES_MAX:
        found = _spectra(rows_SR, eigenvalues)
        if clean_accuracy(*found) >= wanted:
            return found
        eigenvalues *= 2
    return _spectra(rows_SR, MEAN_EIGENVALUES_MAX)


def _spectra(rows_SR: Tensor, eigenvalues: float) -> tuple[Tensor, Tensor]:
    """Return class means (S, R) and the noise's deviations (R,) for one r."""
    variance_R = rows_SR.square().mean(dim=0)
    shape_R = 1 + variance_R / (eigenvalues * variance_R.mean())
    means_SR = rows_SR * shape_R
    noise_R = (1 + NOISE_SHARE * (shape_R - 1)).sqrt()
    distance = (means_SR / noise_R).square().sum(dim=1).mean().sqrt()
    return means_SR, noise_R * distance / MAHALANOBIS


def _labels(classes: int, generator: torch.Generator) -> Tensor:
    repeats = max(1, IMAGES // classes)
    return torch.randperm(classes, generator=generator)[:IMAGES].repeat(repeats)


def _parts(
    means_SR: Tensor, noise_R: Tensor, labels_N: Tensor, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Draw each feature's own class, noise and distractor, all (N, R)."""
    N = len(labels_N)
    gain_N1 = GAIN_MEAN + GAIN_DEVIATION * torch.randn(N, 1, generator=generator)
    noise_NR = torch.randn(N, len(noise_R), generator=generator) * noise_R
    directions_SR = normalize(means_SR)
    cosine_NS = directions_SR[labels_N] @ directions_SR.T
    weight_NS = torch.exp((cosine_NS - 1) / DISTRACTOR_WIDTH)
    weight_NS[torch.arange(N), labels_N] = 0
    # Opposite rows have a weight of about 0, and two classes have no other choice.
    others_N = torch.multinomial(weight_NS + 1e-12, 1, generator=generator)[:, 0]
    share_N1 = torch.rand(N, 1, generator=generator)
    return gain_N1 * means_SR[labels_N], noise_NR, share_N1 * means_SR[others_N]


def _mix(
    parts: tuple[Tensor, Tensor, Tensor], rows_SR: Tensor, labels_N: Tensor, accuracy: float
) -> tuple[Tensor, float]:
    """Weigh noise and distractor so that the head is right about as often as it should be."""
    own_NS, noise_NS, other_NS = (part @ rows_SR.T for part in parts)

    def score(noise: float, distractor: float) -> float:
        scores_NS = torch.add(own_NS, noise_NS, alpha=noise).add_(other_NS, alpha=distractor)
        return float((scores_NS.argmax(dim=1) == labels_N).float().mean())

    if score(1.0, 0.0) < accuracy:
        noise, distractor = _bisect(lambda x: score(x, 0.0), accuracy, 0.0, 1.0), 0.0
    elif score(1.0, DISTRACTOR_MAX) > accuracy:
        noise = _bisect(lambda x: score(x, DISTRACTOR_MAX), accuracy, 1.0, 8.0)
        distractor = DISTRACTOR_MAX
    else:
        distractor = _bisect(lambda x: score(1.0, x), accuracy, 0.0, DISTRACTOR_MAX)
        noise = 1.0
    coordinates_NR = parts[0] + noise * parts[1] + distractor * parts[2]
    return coordinates_NR, score(noise, distractor)


def _bisect(score: Callable[[float], float], target: float, low: float, high: float) -> float:
    """Find where a falling score meets the target."""
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if score(middle) > target else (low, middle)
    return (low + high) / 2
