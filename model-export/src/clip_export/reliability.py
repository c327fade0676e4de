"""Whether scores are honest: of the photos answered with a score near 0.8, are 8 of 10 right?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

BINS = 15


@dataclass(frozen=True)
class Bin:
    """The photos whose first answer's score lies in one of 15 equal ranges from 0 to 1."""

    confidence: float
    """mean score"""
    right: float
    """share that is right"""
    share: float
    """of all photos"""


def reliability(confidence: np.ndarray, right: np.ndarray) -> list[Bin]:
    """The bins that hold a photo, in order; both arrays are [n]."""
    places = np.minimum((confidence * BINS).astype(int), BINS - 1)
    members = [places == place for place in np.unique(places)]
    return [Bin(float(confidence[m].mean()), float(right[m].mean()), float(m.mean())) for m in members]


def calibration_error(confidence: np.ndarray, right: np.ndarray) -> float:
    """Expected calibration error: the mean gap between score and share that is right, over the photos' bins."""
    return sum(abs(each.confidence - each.right) * each.share for each in reliability(confidence, right))
