"""Honest scores from labelled photos: a temperature for softmax; a scale and a bias, Platt's, for the sigmoid.

Both minimise the negative log likelihood of what the photos show, which is convex. A temperature leaves the order of
the labels as it is. "On Calibration of Modern Neural Networks" (Guo et al., 2017); "Probabilistic Outputs for Support
Vector Machines" (Platt, 1999); "A Note on Platt's Probabilistic Outputs" (Lin, Lin and Weng, 2007).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .errors import ExportError

COLDEST, HOTTEST = 0.01, 100.0
"""Limits of a temperature: photos that are all right ask for 0, photos that are all wrong for infinity."""
STEPS = 100


@dataclass(frozen=True)
class Platt:
    """The score of a logit: 1 / (1 + exp(-(scale * logit + bias)))."""

    scale: float
    bias: float

    def logits(self, logits: np.ndarray) -> np.ndarray:
        """What the plain sigmoid is then taken of."""
        return self.scale * logits + self.bias


def fit_temperature(logits: np.ndarray, truth: np.ndarray) -> float:
    """The temperature t for which softmax(logits / t) gives the truth the highest likelihood, from 0.01 to 100.

    `logits` [n, labels], the logit scale in them; `truth` [n], each photo's row number of its label.
    """
    logits, truth = np.asarray(logits, np.float64), np.asarray(truth)
    check_shapes(logits, truth)
    below, above = 1 / HOTTEST, 1 / COLDEST
    if (np.ptp(logits, axis=1) == 0).all():
        return 1.0  # whatever the temperature, the scores are equal
    if slope(logits, truth, above)[0] <= 0:  # 0: the truth's score is 1 to the last digit
        return COLDEST
    if slope(logits, truth, below)[0] >= 0:
        return HOTTEST
    # in 1/t the loss is convex: Newton's steps, halving the bracket where one would leave it
    inverse = 1.0
    for _ in range(STEPS):
        first, second = slope(logits, truth, inverse)
        below, above = (inverse, above) if first < 0 else (below, inverse)
        step = first / second if second > 0 else np.inf
        following = inverse - step
        if not below < following < above:
            following = (below + above) / 2
        if abs(following - inverse) <= 1e-12 * inverse:
            break
        inverse = following
    return float(1 / inverse)


def slope(logits: np.ndarray, truth: np.ndarray, inverse: float) -> tuple[float, float]:
    """First and second derivative of the mean negative log likelihood by the inverse temperature: how far the mean
    logit under the scores is above the truth's, and the logits' variance under the scores."""
    weights = np.exp(inverse * (logits - logits.max(axis=1, keepdims=True)))
    weights /= weights.sum(axis=1, keepdims=True)
    mean = (weights * logits).sum(axis=1)
    variance = (weights * (logits - mean[:, None]) ** 2).sum(axis=1)
    return float((mean - logits[np.arange(len(truth)), truth]).mean()), float(variance.mean())


def fit_platt(logits: np.ndarray, positive: np.ndarray) -> Platt:
    """Scale and bias that give all pairs of photo and label the highest likelihood, each pair on its own.

    `logits` and `positive` of one shape, such as [n, labels]; `positive` says whether the label is true of the photo.
    The targets are Platt's, (P + 1) / (P + 2) and 1 / (N + 2) for P positive and N negative pairs, instead of 1 and 0:
    so there is a minimum even if one threshold parts the two. Raises ExportError if all pairs are of one kind.
    """
    logits, positive = np.asarray(logits, np.float64).ravel(), np.asarray(positive, bool).ravel()
    if logits.shape != positive.shape or not np.isfinite(logits).all():
        raise ExportError(f"{logits.size} logits for {positive.size} pairs, or a logit that is not finite")
    right, wrong = int(positive.sum()), int((~positive).sum())
    if not (right and wrong):
        raise ExportError(f"Platt scaling needs pairs that are true and pairs that are not: {right} and {wrong} given")
    targets = np.where(positive, (right + 1) / (right + 2), 1 / (wrong + 2))
    middle, spread = logits.mean(), logits.std() or 1.0
    x = np.stack(
        [(logits - middle) / spread, np.ones_like(logits)]
    )  # standardised, so that Newton's system is well set
    weights = np.array([0.0, np.log((right + 1) / (wrong + 1))])
    for _ in range(STEPS):
        scores = 1 / (1 + np.exp(-weights @ x))
        gradient = x @ (scores - targets)
        hessian = (x * (scores * (1 - scores))) @ x.T + 1e-12 * np.eye(2)
        step = np.linalg.solve(hessian, gradient)
        weights = descend(x, targets, weights, step)
        if np.abs(step).max() <= 1e-12 * max(1.0, np.abs(weights).max()):
            break
    scale = weights[0] / spread
    return Platt(float(scale), float(weights[1] - scale * middle))


def descend(x: np.ndarray, targets: np.ndarray, weights: np.ndarray, step: np.ndarray) -> np.ndarray:
    """The weights after Newton's step, or after the first half, quarter … of it that does not raise the loss."""

    def loss(at: np.ndarray) -> float:
        z = at @ x
        return float((np.logaddexp(0, z) - targets * z).sum())

    before = loss(weights)
    for halvings in range(40):
        following = weights - step / 2**halvings
        if loss(following) <= before:
            return following
    return weights


def check_shapes(logits: np.ndarray, truth: np.ndarray) -> None:
    """Raises ExportError unless these are finite logits [n, labels] with one label for each row."""
    if logits.ndim != 2 or truth.shape != logits.shape[:1] or not len(logits):
        raise ExportError(f"a temperature is fitted on logits [n, labels] and n labels: {logits.shape}, {truth.shape}")
    if not np.isfinite(logits).all():
        raise ExportError("a temperature cannot be fitted: a logit is not finite")
    if truth.min() < 0 or truth.max() >= logits.shape[1]:
        raise ExportError(f"a temperature cannot be fitted: a label is not among the {logits.shape[1]}")


def halves(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Row numbers to fit on and row numbers to judge by, no row in both; shuffled, but the same every time."""
    order = np.random.default_rng(0).permutation(count)
    return np.sort(order[: count // 2]), np.sort(order[count // 2 :])
