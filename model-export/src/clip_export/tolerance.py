"""How far a bundle may be from its checkpoint."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Tolerance:
    """Beyond these a bundle is refused. Cosines are to PyTorch's embeddings; `top1_loss` is a share of the photos."""

    float_cosine: float = 0.9999
    int8_cosine: float = 0.995
    top1_loss: float = 0.01
