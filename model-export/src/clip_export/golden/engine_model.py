"""A small random model as the golden files for the engine have it, and awkward inputs for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from ..engine.weights import Tower

VOCABULARY, START, END = 104, 102, 103
CONTEXT = 16
LENGTHS = (3, 4, 5, 16)

TokenIds = list[list[int]]


@dataclass(frozen=True)
class EngineModel:
    """A model for the engine, and its own library's forward pass."""

    name: str
    why: str
    size: int
    image: Tower
    text: Tower
    embed_images: Callable[[torch.Tensor], torch.Tensor]
    """[n, 3, size, size] -> [n, dim]"""
    embed_texts: Callable[[TokenIds], torch.Tensor]
    """n texts -> [n, dim]"""
    end_of_text: int = END
    pad_id: int | None = None
    fast: bool = False
    """The products of the blocks are to be fast ones."""


def embed_alone(embed: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[TokenIds], torch.Tensor]:
    """Each text alone and at its own length. `embed`: token ids [1, length] -> [1, dim]."""
    return lambda texts: torch.cat([embed(torch.tensor([ids])) for ids in texts])


def embed_padded(embed: Callable[[torch.Tensor], torch.Tensor], pad_id: int) -> Callable[[TokenIds], torch.Tensor]:
    """All texts filled up to the context's length. `embed`: token ids [n, CONTEXT] -> [n, dim]."""
    return lambda texts: embed(torch.tensor([ids + [pad_id] * (CONTEXT - len(ids)) for ids in texts]))


@torch.inference_mode()
def unit_rows(embed: Callable[[Any], torch.Tensor], inputs: torch.Tensor | TokenIds) -> np.ndarray:
    """float32 [n, dim]"""
    return nn.functional.normalize(embed(inputs), dim=-1).numpy()


def random_pixels(size: int, random: np.random.Generator) -> np.ndarray:
    """float32 [4, 3, size, size]: noise, black, zeros (rows that have no scale), and one bright pixel."""
    pixels = random.normal(size=(4, 3, size, size)).astype(np.float32)
    pixels[1], pixels[2], pixels[3] = -1.8, 0, -1.8
    pixels[3, :, size // 2, size // 3] = 2.1
    return pixels


def random_ids(end: int, random: np.random.Generator) -> TokenIds:
    """Texts of LENGTHS with start and end, one more that goes on after its end, and one of two tokens."""
    lowest = 1 if end == END else end + 1
    words = [[int(word) for word in random.integers(lowest, START, length - 2)] for length in LENGTHS]
    texts = [[START, *inner, end] for inner in words]
    return [*texts, [*texts[2], 7, end, 0], [START, end]]
