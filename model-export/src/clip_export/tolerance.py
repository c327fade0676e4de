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
    engine_cosine: float = 0.999
    """Of the engine's weights, whose activations have 14 to 16 bits. tiny-64's worst photo of 3,000 comes to 0.99974,
    its worst prompt of 276 to 0.99938: "a airplane in a video game.", on which the model itself is of two minds (noise
    of 0.5 % in its token rows moves it to 0.99985 on the mean and 0.99933 at worst). The next prompt has 0.99987."""
    top1_loss: float = 0.01

    def cosines(self, stages: Collection[str]) -> dict[str, float]:
        """The least worst cosine of each stage that was measured, as `quality.parity` names them."""
        limits = {"floatGraph": self.float_cosine, "int8": self.int8_cosine, "engineWeights": self.engine_cosine}
        return {stage: limit for stage, limit in limits.items() if stage in stages}
