"""How far a bundle may be from its checkpoint."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass


@dataclass(frozen=True)
class Tolerance:
    """Beyond these a bundle is refused. Cosines are to PyTorch's embeddings; `top1_loss` is a share of the photos."""

    float_cosine: float = 0.9999
    int8_cosine: float = 0.995
    """of an onnxruntime graph, whose activations have 8 bits"""
    engine_cosine: float = 0.9995
    """of the engine's weights, whose activations have 14 to 16"""
    top1_loss: float = 0.01

    def cosines(self, stages: Collection[str]) -> dict[str, float]:
        """The least worst cosine of each stage that was measured, as `quality.parity` names them."""
        limits = {"floatGraph": self.float_cosine, "int8": self.int8_cosine, "engineWeights": self.engine_cosine}
        return {stage: limit for stage, limit in limits.items() if stage in stages}
