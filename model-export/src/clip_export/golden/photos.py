"""The three CC0 photos that fixtures are derived from, in small, without their metadata."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from ..preprocess import upright_rgb

CC0_PHOTOS = {"chelsea": "chelsea.png", "coffee": "coffee.png", "rocket": "rocket.jpg"}


def bare(image: Image.Image) -> Image.Image:
    """The same pixels without profile, comment or EXIF, which PIL would copy into what it saves."""
    return Image.fromarray(np.asarray(image).copy())


def cc0_photos(samples: Path) -> dict[str, Image.Image]:
    """name -> RGB photo, in its full size."""
    return {name: bare(upright_rgb(Image.open(samples / file))) for name, file in CC0_PHOTOS.items()}


def small(photo: Image.Image, width: int, height: int) -> Image.Image:
    """The photo squashed to this size; proportions do not matter to a fixture."""
    return photo.resize((width, height), Image.Resampling.LANCZOS)
