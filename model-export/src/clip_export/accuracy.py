"""Zero-shot accuracy: how often the right label is first, or among the first five, and whether the score is honest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from .errors import ExportError
from .reliability import calibration_error


@dataclass(frozen=True)
class Accuracy:
    """Shares from 0 to 1. `ece` is the expected calibration error of the first answer's score, in 15 bins."""

    top1: float
    top5: float
    ece: float

    def rounded(self) -> dict[str, float]:
        return {key: round(value, 4) for key, value in asdict(self).items()}


@dataclass(frozen=True)
class Answers:
    """What a model says of each photo, and what is right; labels are row numbers of the label set, all arrays [n]."""

    truth: np.ndarray
    first: np.ndarray
    """the label with the highest score"""
    confidence: np.ndarray
    """its score, 0 to 1"""
    in_five: np.ndarray
    """whether the right label is among the first five"""

    @property
    def right(self) -> np.ndarray:
        return self.first == self.truth

    def accuracy(self) -> Accuracy:
        ece = calibration_error(self.confidence, self.right)
        return Accuracy(float(self.right.mean()), float(self.in_five.mean()), ece)


def zero_shot_logits(images: np.ndarray, texts: np.ndarray, logit_scale: float) -> np.ndarray:
    """Images [n, dim] and texts [labels, dim], unit rows -> float64 [n, labels], without a bias."""
    return logit_scale * (images.astype(np.float64) @ texts.T.astype(np.float64))


def answers(logits: np.ndarray, truth: np.ndarray, logit_bias: float | None = None) -> Answers:
    """Logits [n, labels] and the right label's row number of each -> the answers.

    Scores are softmax's or, with a `logit_bias`, the sigmoid's.
    """
    order = np.argsort(-logits, axis=1, kind="stable")
    highest = logits.max(axis=1, keepdims=True)
    # of the first answer: its softmax, or the sigmoid 1 / (1 + exp(-(logit + bias)))
    others = np.exp(logits - highest).sum(axis=1) - 1 if logit_bias is None else np.exp(-highest[:, 0] - logit_bias)
    in_five = (order[:, :5] == truth[:, None]).any(axis=1)
    return Answers(truth, order[:, 0], 1 / (1 + others), in_five)


def label_rows(labels: Sequence[str], truth: Sequence[str]) -> np.ndarray:
    """The row number of each photo's label. Raises ExportError if one is not among the labels."""
    index = {label: row for row, label in enumerate(labels)}
    unknown = sorted(set(truth) - set(index))
    if unknown:
        raise ExportError(f"not in the label set: {', '.join(unknown[:5])}")
    return np.array([index[label] for label in truth])


def zero_shot_accuracy(
    images: np.ndarray,
    texts: np.ndarray,
    logit_scale: float,
    labels: Sequence[str],
    truth: Sequence[str],
    logit_bias: float | None = None,
) -> Accuracy:
    """Images [n, dim] and texts [labels, dim], unit rows; `truth` names the label of each image.

    Raises ExportError if an image's label is not among the labels.
    """
    return answers(zero_shot_logits(images, texts, logit_scale), label_rows(labels, truth), logit_bias).accuracy()
