"""Image -> CLIP's pixel values with PIL, as torchvision's and Hugging Face's CLIP processors do it.

This is the reference that the edge's decoder and resizer are compared with, bit by bit. The order is: upright (EXIF),
RGB, resize, centre crop, normalise. RGB comes before the resize, as in Hugging Face's processors; OpenAI's script
resizes first, which differs for palette and alpha images. Colour profiles are ignored, alpha is dropped, not blended.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from PIL import Image, ImageOps

Resize = Literal["shortest", "squash"]
Interpolation = Literal["bicubic", "bilinear"]

RESAMPLING = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}


def upright_rgb(image: Image.Image) -> Image.Image:
    """The image turned as its EXIF orientation says, as 8-bit RGB; alpha is dropped.

    16-bit grey is the one place where PIL is not followed: it clips such samples to 255, so that nearly every picture
    comes out white. Their high byte is taken instead, as PIL itself does for 16-bit RGB.
    """
    upright = ImageOps.exif_transpose(image)
    if upright.mode.startswith("I;16"):
        upright = Image.fromarray((np.asarray(upright) >> 8).astype(np.uint8))
    # without this PIL warns that transparency is lost, which is what we want
    upright.info.pop("transparency", None)
    return upright.convert("RGB")


def resized_size(width: int, height: int, size: int, resize: Resize) -> tuple[int, int]:
    """(width, height) after the resize and before the crop.

    "shortest" is torchvision's `Resize(size)`: the shortest side becomes `size`, the other is truncated, not rounded.
    "squash" is SigLIP's: both sides become `size`, the proportions change.
    """
    if resize == "squash":
        return size, size
    if resize != "shortest":
        raise ValueError(f"unknown resize {resize!r}: use 'shortest' or 'squash'")
    longest = int(size * max(width, height) / min(width, height))
    return (size, longest) if width <= height else (longest, size)


def crop_pixels(image: Image.Image, size: int, resize: Resize, interpolation: Interpolation) -> np.ndarray:
    """RGB image -> uint8 [size, size, 3]: resized with PIL's antialiased filter, then the centre crop."""
    if interpolation not in RESAMPLING:
        raise ValueError(f"unknown interpolation {interpolation!r}: use 'bicubic' or 'bilinear'")
    width, height = resized_size(image.width, image.height, size, resize)
    resized = image.resize((width, height), RESAMPLING[interpolation])
    # torchvision's CenterCrop: Python's round, half to even
    left, top = round((width - size) / 2.0), round((height - size) / 2.0)
    return np.asarray(resized.crop((left, top, left + size, top + size)), dtype=np.uint8)


def normalise(pixels: np.ndarray, mean: list[float], std: list[float]) -> np.ndarray:
    """uint8 [size, size, 3] -> float32 [3, size, size], (x / 255 - mean) / std, every step in float32."""
    unit = pixels.astype(np.float32) / np.float32(255)
    values = (unit - np.asarray(mean, np.float32)) / np.asarray(std, np.float32)
    return np.ascontiguousarray(values.transpose(2, 0, 1))


def pixel_values(
    image: Image.Image,
    size: int,
    resize: Resize,
    interpolation: Interpolation,
    mean: list[float],
    std: list[float],
) -> np.ndarray:
    """Any PIL image -> float32 [3, size, size], channel first, normalised with mean and std."""
    return normalise(crop_pixels(upright_rgb(image), size, resize, interpolation), mean, std)
