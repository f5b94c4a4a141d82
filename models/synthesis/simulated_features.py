"""Simulates features of pictures from a head alone.

A linear classifier near its optimum is its classes' discriminant, w_c = Sigma^-1 mu_c, so the
spread of its rows tells the covariance of the features it was trained on: where rows vary much,
features do. Here Sigma = I + R / r, R the covariance of the rows, r a multiple of its mean
eigenvalue; class means are Sigma w_c. A strongly regularised head, or one of few pictures, is
rather a list of class means, and such rows under such a Sigma would often be wrong about clean
features: then the means are the rows, and the noise's spectrum is a power of theirs. A picture
is less simple: its class shows more or less strongly (`gain`), and it holds something of another,
mostly related class. The strength of that distractor is set so that the head itself has the
accuracy it is known, or assumed, to have; where even the strongest does not suffice, the noise is.
Of what a head lacks of GOOD, most is put down to errors of its rows instead (row_errors.py).

Constants were read off the pictures of two heads (tests/benchmarks/LOG.md says which).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import normalize

from headgraft.models.features.labelled import LabelledFeatures
from headgraft.models.synthesis.row_errors import BISECTIONS, RowErrors, bisect_falling

IMAGES = 2000
PROBES = 500
# What a head is taken to recognise where nothing is known: a discriminant, a list of class means.
GOOD, OF_MEANS = 0.85, 0.6
ROWS_FAULT = 0.62  # share of what a head lacks of GOOD that is due to errors of its rows
MEAN_EIGENVALUES = 2.0  # r, in mean eigenvalues of the rows' covariance
PARTS = (1.0, 0.5, 0.25)  # of the emphasis, tried in turn
CLEAN_SHARE = 0.99  # of its accuracy, without distractor, on features with one common covariance
NOISE_POWER = 0.6  # of the class means' variance along their axes, for a list of class means
NOISE_SHARE = 0.75  # how much of R the spread within a class has, against the means
MAHALANOBIS = 12.0  # root mean square distance of a class mean from the centre, in noise
GAIN_MEAN, GAIN_DEVIATION = 0.9, 0.22
DISTRACTOR_MAX = 4.0  # its share is uniform up to at most this
DISTRACTOR_WIDTH = 0.1  # in cosine between class means


@dataclass(frozen=True, eq=False)
class SimulatedFeatures(LabelledFeatures):
    """Features (N, R) in the basis (D, R) of the centred rows, about the mean feature.

    The mean feature itself is taken to favour no class. `head_accuracy` is what the head itself
    scores on them, `wanted_accuracy` what it should. `errors` is None where its rows are taken for
    the truth.
    """

    basis_DR: Tensor
    head_accuracy: float
    wanted_accuracy: float
    errors: RowErrors | None = None

    def scores(self, weight_CF: Tensor) -> Tensor:
        """Return the products (N, C) of the features, less the mean feature, with rows (C, D)."""
        return self.features_NF @ (weight_CF.to(self.basis_DR) @ self.basis_DR).T

    def knowing(self, predicted_SD: Tensor, known_S: Tensor) -> "SimulatedFeatures":
        """Return the features to expect given rows predicted for hidden classes.

        They are predicted each without its own row, so what they have in common with the rows is
        no error of the rows. Only those of `known_S` count.
        """
        if self.errors is None:
            return self
        drawn = self.errors.predicted(predicted_SD.to(self.basis_DR) @ self.basis_DR, known_S)
        return replace(self, features_NF=drawn[0], head_accuracy=drawn[1])


def simulate_features(
    weight_SD: Tensor,
    accuracy: float | None,
    *,
    predicted_MD: Tensor | None = None,
    emphasis: float = 0.0,
    seed: int = 0,
) -> SimulatedFeatures:
    """Draw about IMAGES features of the classes whose rows are given, in float32.

    `accuracy` is the share of features the head itself gets right, None where it is not known.
    Along the axes of rows that were predicted from class embeddings, `predicted_MD` less their
    mean, features vary more than rows do, by an `emphasis` in the covariance's mean eigenvalue; by
    less where the head would not be a good one then. At least 2 rows that differ.
    """
    generator = torch.Generator().manual_seed(seed)
    weight_SD = weight_SD.detach().to("cpu", torch.float32)
    axes = _axes(weight_SD - weight_SD.mean(dim=0))
    labels_N = _labels(len(weight_SD), generator)
    variants = [axes]
    if predicted_MD is not None and emphasis:
        spread_RR = _spread(predicted_MD.to(weight_SD) @ axes.basis_DR)
        variants = [axes.stretched(spread_RR, emphasis * part) for part in PARTS] + variants
    axes, (means_SR, noise_R), assumed = _agreeing(variants, labels_N, generator)
    rows_SR, basis_DR = axes.rows_SR, axes.basis_DR
    wanted = assumed if accuracy is None else accuracy
    gain_N1, parts = _parts(means_SR, noise_R, labels_N, generator)
    lacking = max(0.0, GOOD - wanted)
    parts, reached = _mix(parts, rows_SR, labels_N, wanted + ROWS_FAULT * lacking)
    if not lacking:
        return SimulatedFeatures(sum(parts[1:], parts[0]), labels_N, basis_DR, reached, wanted)
    errors = RowErrors(
        rows_SR,
        labels_N,
        gain_N1,
        means_SR.norm(dim=0) / rows_SR.norm(dim=0),
        parts[1] + parts[2],
        torch.randn(rows_SR.shape, generator=generator),
        wanted,
    )
    share, coordinates_NR, reached = errors.unpredicted()
    return SimulatedFeatures(
        coordinates_NR, labels_N, basis_DR, reached, wanted, replace(errors, share=share)
    )


@dataclass(frozen=True, eq=False)
class _Axes:
    """Rows (S, R) in an orthonormal basis (D, R), and the features' variance along it (R,)."""

    rows_SR: Tensor
    basis_DR: Tensor
    variance_R: Tensor

    def stretched(self, spread_RR: Tensor, emphasis: float) -> "_Axes":
        """Return the axes of a covariance that has so much of another added to it."""
        covariance_RR = self.variance_R.diag() + emphasis * spread_RR
        values_R, turn_RR = torch.linalg.eigh(covariance_RR)
        return _Axes(self.rows_SR @ turn_RR, self.basis_DR @ turn_RR, values_R)


def _axes(centred_SD: Tensor) -> _Axes:
    """Turn centred rows into their principal axes, by the smaller of the two Gram matrices."""
    S, D = centred_SD.shape
    gram = centred_SD @ centred_SD.T if S < D else centred_SD.T @ centred_SD
    values, vectors = torch.linalg.eigh(gram)
    kept = values > values.max() * 1e-5
    vectors = vectors[:, kept]
    basis_DR = centred_SD.T @ vectors / values[kept].sqrt() if S < D else vectors
    rows_SR = centred_SD @ basis_DR
    variance_R = rows_SR.square().mean(dim=0)
    return _Axes(rows_SR, basis_DR, 1 + variance_R / (MEAN_EIGENVALUES * variance_R.mean()))


def _spread(centred_MR: Tensor) -> Tensor:
    """Return the covariance of points, made to have eigenvalues of 1 on average."""
    covariance_RR = centred_MR.T @ centred_MR
    tiny = torch.finfo(covariance_RR.dtype).tiny
    return covariance_RR * (len(covariance_RR) / covariance_RR.trace().clamp_min(tiny))


def _agreeing(
    variants: Sequence[_Axes], labels_N: Tensor, generator: torch.Generator
) -> tuple[_Axes, tuple[Tensor, Tensor], float]:
    """Find axes, class means and noise under which the head would be a good one, and how good.

    The first of the variants that do; the last one, with rows for means, where none does.
    """
    rows_SR = variants[-1].rows_SR
    own_N, draws_NR = labels_N[:PROBES], torch.randn(PROBES, rows_SR.shape[1], generator=generator)

    def clean_accuracy(axes: _Axes, means_SR: Tensor, noise_R: Tensor) -> float:
        clean_NR = GAIN_MEAN * means_SR[own_N] + draws_NR[: len(own_N)] * noise_R
        return float(((clean_NR @ axes.rows_SR.T).argmax(dim=1) == own_N).float().mean())

    wanted = CLEAN_SHARE * clean_accuracy(variants[-1], *_means(rows_SR, 0.0))
    for axes in variants:
        discriminant = _discriminant(axes)
        if clean_accuracy(axes, *discriminant) >= wanted:
            return axes, discriminant, GOOD
    return variants[-1], _means(rows_SR, NOISE_POWER), OF_MEANS


def _discriminant(axes: _Axes) -> tuple[Tensor, Tensor]:
    """Return class means (S, R) and the noise's deviations (R,) of which rows are the best."""
    noise_R = (1 + NOISE_SHARE * (axes.variance_R - 1)).sqrt()
    return _at_distance(axes.rows_SR * axes.variance_R, noise_R)


def _means(rows_SR: Tensor, power: float) -> tuple[Tensor, Tensor]:
    """Return the rows as class means (S, R), and noise whose variance is a power of theirs (R,)."""
    return _at_distance(rows_SR, rows_SR.square().mean(dim=0).pow(power / 2))


def _at_distance(means_SR: Tensor, noise_R: Tensor) -> tuple[Tensor, Tensor]:
    distance = (means_SR / noise_R).square().sum(dim=1).mean().sqrt()
    return means_SR, noise_R * distance / MAHALANOBIS


def _labels(classes: int, generator: torch.Generator) -> Tensor:
    repeats = max(1, IMAGES // classes)
    return torch.randperm(classes, generator=generator)[:IMAGES].repeat(repeats)


def _parts(
    means_SR: Tensor, noise_R: Tensor, labels_N: Tensor, generator: torch.Generator
) -> tuple[Tensor, tuple[Tensor, Tensor, Tensor]]:
    """Draw each feature's gain (N, 1), and its own class, noise and distractor, all (N, R)."""
    N = len(labels_N)
    gain_N1 = GAIN_MEAN + GAIN_DEVIATION * torch.randn(N, 1, generator=generator)
    noise_NR = torch.randn(N, len(noise_R), generator=generator) * noise_R
    directions_SR = normalize(means_SR)
    cosine_NS = directions_SR[labels_N] @ directions_SR.T
    weight_NS = cosine_NS.sub_(1).div_(DISTRACTOR_WIDTH).exp_()
    weight_NS[torch.arange(N), labels_N] = 0
    # Opposite rows have a weight of about 0, and two classes have no other choice.
    others_N = torch.multinomial(weight_NS.add_(1e-12), 1, generator=generator)[:, 0]
    share_N1 = torch.rand(N, 1, generator=generator)
    return gain_N1, (gain_N1 * means_SR[labels_N], noise_NR, share_N1 * means_SR[others_N])


def _mix(
    parts: tuple[Tensor, Tensor, Tensor], rows_SR: Tensor, labels_N: Tensor, accuracy: float
) -> tuple[tuple[Tensor, Tensor, Tensor], float]:
    """Weigh noise and distractor so that the head is right about as often as it should be.

    Returns the three parts as weighed, and how often it is.
    """
    own_NS, noise_NS, other_NS = (part @ rows_SR.T for part in parts)

    def score(noise: float, distractor: float) -> float:
        scores_NS = torch.add(own_NS, noise_NS, alpha=noise).add_(other_NS, alpha=distractor)
        return float((scores_NS.argmax(dim=1) == labels_N).float().mean())

    def bisect(falling: Callable[[float], float], within: tuple[float, float]) -> float:
        return bisect_falling(falling, accuracy, within, BISECTIONS)

    if score(1.0, 0.0) < accuracy:
        noise, distractor = bisect(lambda x: score(x, 0.0), (0.0, 1.0)), 0.0
    elif score(1.0, DISTRACTOR_MAX) > accuracy:
        noise = bisect(lambda x: score(x, DISTRACTOR_MAX), (1.0, 8.0))
        distractor = DISTRACTOR_MAX
    else:
        distractor = bisect(lambda x: score(1.0, x), (0.0, DISTRACTOR_MAX))
        noise = 1.0
    weighed = parts[0], noise * parts[1], distractor * parts[2]
    return weighed, score(noise, distractor)
