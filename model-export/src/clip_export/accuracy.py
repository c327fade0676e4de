"""Zero-shot accuracy: how often the right label is first, or among the first five, and whether the score is honest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from .errors import ExportError

ECE_BINS = 15


@dataclass(frozen=True)
class Accuracy:
    """Shares from 0 to 1. `ece` is the expected calibration error of the first answer's score, in 15 bins."""

    top1: float
    top5: float
    ece: float

    def rounded(self) -> dict[str, float]:
        return {key: round(value, 4) for key, value in asdict(self).items()}


def zero_shot_accuracy(
    images: np.ndarray,
    texts: np.ndarray,
    logit_scale: float,
    labels: Sequence[str],
    truth: Sequence[str],
    logit_bias: float | None = None,
) -> Accuracy:
    """Images [n, dim] and texts [labels, dim], unit rows; `truth` names the label of each image.

    Scores are softmax's or, with a `logit_bias`, the sigmoid's.

    Raises ExportError if an image's label is not among the labels.
    """
    unknown = sorted(set(truth) - set(labels))
    if unknown:
        raise ExportError(f"not in the label set: {', '.join(unknown[:5])}")
    index = {label: row for row, label in enumerate(labels)}
    expected = np.array([index[label] for label in truth])
    logits = logit_scale * (images.astype(np.float64) @ texts.T.astype(np.float64))  # [n, labels]
    order = np.argsort(-logits, axis=1, kind="stable")
    right = order[:, 0] == expected
    highest = logits.max(axis=1, keepdims=True)
    # of the first answer: its softmax, or the sigmoid 1 / (1 + exp(-(logit + bias)))
    others = np.exp(logits - highest).sum(axis=1) - 1 if logit_bias is None else np.exp(-highest[:, 0] - logit_bias)
    confidence = 1 / (1 + others)
    top5 = (order[:, :5] == expected[:, None]).any(axis=1)
    return Accuracy(float(right.mean()), float(top5.mean()), calibration_error(confidence, right))


def calibration_error(confidence: np.ndarray, right: np.ndarray) -> float:
    """Mean gap between the score of the first answer and how often it is right, over equal bins of the score."""
    bins = np.minimum((confidence * ECE_BINS).astype(int), ECE_BINS - 1)
    gaps = [abs(confidence[bins == b].mean() - right[bins == b].mean()) * (bins == b).mean() for b in set(bins)]
    return float(sum(gaps))
