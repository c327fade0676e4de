"""Inputs of an encoder, by which it is calibrated: three quarters to fit to, one to compare on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch

from .reference import EngineEncoder

BATCH = 50
APART = 4
"""every so manieth input is kept apart, to compare on"""
FEW = 64
"""samples on which the cost of single linears is measured"""


@dataclass(frozen=True)
class Samples:
    """Inputs of one encoder, and how it is asked."""

    batches: Sequence[torch.Tensor]
    embed: Callable[[EngineEncoder, torch.Tensor], torch.Tensor]

    def through(self, encoder: EngineEncoder) -> torch.Tensor:
        """[n, dim], in float64"""
        return torch.cat([self.embed(encoder, batch) for batch in self.batches]).double()

    def few(self) -> Samples:
        """About FEW of them, of every batch some."""
        total = sum(len(batch) for batch in self.batches)
        step = max(1, total // FEW)
        return Samples([batch[::step] for batch in self.batches], self.embed)


@dataclass(frozen=True)
class CalibrationData:
    """What is fitted to, and what is compared."""

    fit: Samples
    check: Samples


def image_samples(pixels: np.ndarray) -> CalibrationData:
    """[n, 3, size, size]"""

    def samples(images: np.ndarray) -> Samples:
        batches = [torch.from_numpy(images[at : at + BATCH]) for at in range(0, len(images), BATCH)]
        return Samples(batches, lambda encoder, batch: encoder.embed_images(batch))

    apart = np.arange(len(pixels)) % APART == APART - 1
    return CalibrationData(samples(pixels[~apart]), samples(pixels[apart]))


def text_samples(ids: Sequence[Sequence[int]], end_of_text: int, pad_id: int | None = None) -> CalibrationData:
    """Texts at their own lengths, start and end token included."""

    def samples(texts: Sequence[Sequence[int]]) -> Samples:
        by_length: dict[int, list[Sequence[int]]] = {}
        for text in texts:
            by_length.setdefault(len(text), []).append(text)
        batches = [torch.tensor(rows) for _, rows in sorted(by_length.items())]
        return Samples(batches, lambda encoder, batch: encoder.embed_texts(batch, end_of_text, pad_id))

    fit = [text for at, text in enumerate(ids) if at % APART != APART - 1]
    return CalibrationData(samples(fit), samples(ids[APART - 1 :: APART]))


@contextmanager
def watching(encoder: EngineEncoder, see: Callable[[str, torch.Tensor], None]) -> Iterator[None]:
    """Within it, `see` is shown the inputs [rows, K] of every linear that `encoder` computes, and the linear's name."""
    plain = encoder.linear

    def watched(name: str, x: torch.Tensor) -> torch.Tensor:
        see(name, x.reshape(-1, x.shape[-1]))
        return plain(name, x)

    encoder.linear = watched
    try:
        yield
    finally:
        encoder.linear = plain
