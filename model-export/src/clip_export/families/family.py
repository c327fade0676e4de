"""What a family of models is here: a checkpoint of it, and what its library makes of pictures and texts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image


@dataclass(frozen=True)
class Reference:
    """A checkpoint's own library: its image processor, its tokenizer and its forward passes, none of them ours."""

    pixel_values: Callable[[Image.Image], np.ndarray]
    """a picture -> float32 [3, size, size]"""
    token_ids: Callable[[list[str]], np.ndarray]
    """n texts -> int [n, context length], filled up as the library does it"""
    images: Callable[[np.ndarray], np.ndarray]
    """float32 [n, 3, size, size] -> float32 [n, dim]"""
    texts: Callable[[np.ndarray], np.ndarray]
    """what `token_ids` gives -> float32 [n, dim]"""


@dataclass(frozen=True)
class Family:
    id: str
    """of its bundles, to which the runtime is added"""
    name: str
    published: str
    """a published model that is of it"""
    save: Callable[[Path], None]
    """writes a small checkpoint with random weights into a new folder"""
    load: Callable[[Path], Reference]
    least: float = 0.999
    """the cosine that a picture is to reach on the engine"""
