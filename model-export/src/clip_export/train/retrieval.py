"""Retrieval recall: how often what belongs together is among the first found."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

AT = (1, 5)
ROWS = 1024
"""queries whose similarities are held at a time"""


@dataclass(frozen=True)
class Recall:
    """Shares from 0 to 1, by k of AT."""

    image_to_text: dict[int, float]
    text_to_image: dict[int, float]
    images: int
    texts: int

    def columns(self) -> dict[str, float]:
        """By the names that the metrics have."""
        both = {"image_to_text": self.image_to_text, "text_to_image": self.text_to_image}
        return {f"{name}@{k}": round(share, 4) for name, by_k in both.items() for k, share in by_k.items()}


def retrieval_recall(
    images: np.ndarray, texts: np.ndarray, image_keys: Sequence[Hashable], text_keys: Sequence[Hashable]
) -> Recall:
    """Rows [n, dim] of n pairs, and what tells their images and texts apart.

    The same image, or text, of several pairs is one; it may then have several right answers, and the first that is
    found counts. An answer that is as near as the right one counts as found before it: a model that embeds everything
    alike finds nothing.
    """
    image_rows, image_of = _distinct(image_keys)
    text_rows, text_of = _distinct(text_keys)
    belongs = np.zeros((len(image_rows), len(text_rows)), bool)
    belongs[image_of, text_of] = True
    images, texts = images[image_rows].astype(np.float64), texts[text_rows].astype(np.float64)
    return Recall(_recall(images, texts, belongs), _recall(texts, images, belongs.T), len(image_rows), len(text_rows))


def _distinct(keys: Sequence[Hashable]) -> tuple[list[int], list[int]]:
    """The first row of each key, and for each row the number of its key."""
    number: dict[Hashable, int] = {}
    of = [number.setdefault(key, len(number)) for key in keys]
    first: dict[int, int] = {}
    for row, key in enumerate(of):
        first.setdefault(key, row)
    return list(first.values()), of


def _recall(queries: np.ndarray, answers: np.ndarray, belongs: np.ndarray) -> dict[int, float]:
    ranks = []
    for at in range(0, len(queries), ROWS):
        similarity, right = queries[at : at + ROWS] @ answers.T, belongs[at : at + ROWS]
        best = np.where(right, similarity, -np.inf).max(axis=1, keepdims=True)
        ranks.append((~right & ~(similarity < best)).sum(axis=1))  # NaN is found before anything
    return {k: float((np.concatenate(ranks) < k).mean()) for k in AT}
