""" "None of these": when the best label of a picture is no answer.

The labels compete with background texts ("a photo.", "a texture."), which no picture is about: a picture's score is the
softmax of its best label over labels and background, at the model's own scale: not at the fitted temperature, which is
next to 0 where all pictures are told apart, and with it every score is 1. Below the threshold the answer is
"none of these". A false positive is a picture of one of the labels that is answered so; the threshold is the score that
the stated share of the pictures it is fitted on lies below.

Whether it works is measured on pictures that nothing was fitted on: of the labels, of other things if there are such,
and of the labels again with each picture's own label taken away, whose right answer is then "none of these".

The largest probability as the sign of a foreign picture: Hendrycks and Gimpel, "A Baseline for Detecting Misclassified
and Out-of-Distribution Examples in Neural Networks", 2017. Texts that compete with the labels: Esmaeilpour et al.,
"Zero-Shot Out-of-Distribution Detection Based on the Pre-trained Model CLIP", 2022.
"""

from __future__ import annotations

import numpy as np


def best_scores(logits: np.ndarray, background: np.ndarray, own: np.ndarray | None = None) -> np.ndarray:
    """Logits of labels [n, labels] and of background texts [n, texts], the logit scale in both -> [n], 0 to 1.

    `own` [n]: a label of each picture that is taken away.
    """
    if own is not None:
        logits = logits.copy()
        logits[np.arange(len(logits)), own] = -np.inf
    highest = np.maximum(logits.max(axis=1), background.max(axis=1, initial=-np.inf))[:, None]
    total = np.exp(logits - highest).sum(axis=1) + np.exp(background - highest).sum(axis=1)
    return np.exp(logits.max(axis=1) - highest[:, 0]) / total


def fit_threshold(scores: np.ndarray, false_positive_rate: float) -> float:
    """The largest score for which no more than that share of the scores lie below it."""
    return float(np.sort(scores)[int(false_positive_rate * len(scores))])


def rejected(scores: np.ndarray, threshold: float) -> float:
    """The share of the pictures that are answered with "none of these"."""
    return float((scores < threshold).mean())
