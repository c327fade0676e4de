"""How far a bundle may be from its checkpoint."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass


@dataclass(frozen=True)
class Tolerance:
    """Beyond these a bundle is refused. Cosines are to PyTorch's embeddings; `top1_loss` is a share of the photos."""

    float_cosine: float = 0.9999
    """of the graph that PyTorch writes"""
    float32_cosine: float = 0.9999
    """of the bundle's, where it has the same weights"""
    float16_cosine: float = 0.999
    int8_cosine: float = 0.995
    """of an onnxruntime graph, whose activations have 8 bits"""
    engine_cosine: float = 0.999
    """Of the engine's weights and the rounding of activations: 14 to 16 bits, or 7 where a product is fast. tiny-64,
    calibrated, has 0.99950 for its worst photo of 3,000 and 0.99944 for its worst prompt of 276; all exact, and each
    weight rounded by itself, they were 0.99974 and 0.99938. That prompt is "a airplane in a video game.", of which
    the model itself is unsure (noise of 0.5 % in its token rows moves it to 0.99985 on the mean, 0.99933 at worst)."""
    top1_loss: float = 0.01

    def cosines(self, stages: Collection[str]) -> dict[str, float]:
        """The least worst cosine of each stage that was measured, as `quality.parity` names them."""
        limits = {
            "floatGraph": self.float_cosine,
            "float32": self.float32_cosine,
            "float16": self.float16_cosine,
            "int8": self.int8_cosine,
            "engineWeights": self.engine_cosine,
        }
        measured = {stage: limit for stage, limit in limits.items() if stage in stages}
        if "edge" in stages and measured:
            measured["edge"] = list(measured.values())[-1]  # what runs there are the bundle's own encoders
        return measured
