"""Batch norms' statistics as training leaves them: those of pictures.

Drawn at random, what all pictures have in common would grow from layer to layer, and their embeddings be nearly the
same: then a comparison with the reference shows little.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import nn

PICTURES = 12


def settle_norms(model: nn.Module, embed: Callable[[torch.Tensor], torch.Tensor], pixels: torch.Tensor) -> None:
    """Sets mean and variance of every batch norm of `model` to those of `pixels` [n, 3, size, size] under `embed`."""
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the mean of all batches
        norm.train()
    with torch.no_grad():
        embed(pixels)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
        norm.eval()


def soft_pictures(size: int, random: np.random.Generator) -> torch.Tensor:
    """float32 [PICTURES, 3, size, size]: patches of colour with soft edges and a little noise, normalised. Each has
    colours of its own, as photos have and noise has not."""
    colours = torch.from_numpy(random.normal(size=(PICTURES, 3, 5, 5))).float()
    noise = torch.from_numpy(random.normal(size=(PICTURES, 3, size, size))).float()
    return nn.functional.interpolate(colours, size=(size, size), mode="bilinear") + 0.2 * noise
