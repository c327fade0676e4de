"""The one augmentation of CLIP's training: a random part of the picture, resized to the encoder's square."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image

from ..preprocess import RESAMPLING, Interpolation

RATIO = (3 / 4, 4 / 3)
TRIES = 10


def random_resized_crop(
    image: Image.Image, size: int, interpolation: Interpolation, least: float, random: np.random.Generator
) -> np.ndarray:
    """RGB image -> uint8 [size, size, 3]. torchvision's RandomResizedCrop, as open_clip uses it (with `least` 0.9).

    `least`: the least share of the area that is kept. Nothing is mirrored: captions say left and right.
    """
    left, top, width, height = crop_box(image.width, image.height, least, random)
    part = image.crop((left, top, left + width, top + height))
    return np.asarray(part.resize((size, size), RESAMPLING[interpolation]), dtype=np.uint8)


def crop_box(width: int, height: int, least: float, random: np.random.Generator) -> tuple[int, int, int, int]:
    """(left, top, width, height): the area uniform in [least, 1], the proportions' logarithm uniform in RATIO's."""
    for _ in range(TRIES):
        area = width * height * random.uniform(least, 1)
        ratio = math.exp(random.uniform(math.log(RATIO[0]), math.log(RATIO[1])))
        across, down = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < across <= width and 0 < down <= height:
            return int(random.integers(width - across + 1)), int(random.integers(height - down + 1)), across, down
    # of a picture that is too long: its middle, with the nearest of the proportions
    across, down = width, height
    if width / height < RATIO[0]:
        down = round(width / RATIO[0])
    elif width / height > RATIO[1]:
        across = round(height * RATIO[1])
    return (width - across) // 2, (height - down) // 2, across, down
