"""Which classes a model knows worst, and what it takes them for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .accuracy import Answers


@dataclass(frozen=True)
class ClassAnswers:
    """The photos of one class."""

    label: str
    count: int
    right: float
    """share of them"""
    taken_for: list[tuple[str, float]]
    """the wrong labels that came first, most frequent first, with their shares of the class's photos"""


def classes_worst_first(given: Answers, labels: Sequence[str]) -> list[ClassAnswers]:
    """Every class that has a photo, the least known first; those alike in the label set's order."""
    classes = [_class_answers(given, labels, row) for row in np.unique(given.truth)]
    return sorted(classes, key=lambda each: each.right)


def _class_answers(given: Answers, labels: Sequence[str], row: int) -> ClassAnswers:
    first = given.first[given.truth == row]
    rows, counts = np.unique(first, return_counts=True)
    wrong = [(labels[r], c / len(first)) for r, c in zip(rows, counts, strict=True) if r != row]
    taken_for = sorted(((label, float(share)) for label, share in wrong), key=lambda pair: -pair[1])
    return ClassAnswers(labels[row], len(first), float((first == row).mean()), taken_for)


def confusion(worst: Sequence[ClassAnswers], columns: Sequence[str]) -> np.ndarray:
    """[classes, columns]: the share of a class's photos that is given each of these labels."""
    shares = [{**dict(each.taken_for), each.label: each.right} for each in worst]
    return np.array([[share.get(column, 0.0) for column in columns] for share in shares])
