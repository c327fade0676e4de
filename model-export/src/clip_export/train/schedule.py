"""The learning rate of each step."""

from __future__ import annotations

import math


def learning_rate(step: int, steps: int, warmup: int, peak: float) -> float:
    """Of step 0 … steps - 1: a straight rise to `peak` over `warmup` steps, then half a cosine down towards 0.

    As open_clip's `cosine_lr`.
    """
    if step < warmup:
        return peak * (step + 1) / warmup
    return peak * 0.5 * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup)))
