"""Golden pixels: what PIL makes of every good picture, and of noise in awkward sizes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from ..preprocess import crop_pixels, normalise, upright_rgb

SIZE = 64
SCALED_DECODING_FROM = 8
"""A decoder may halve a JPEG while the result's short side stays at least 4 times the model's size."""
DETAILED = [  # (end of the path, size, resize, interpolation), beside SIZE, shortest, bicubic for every picture
    ("samples/chelsea.png", 224, "shortest", "bicubic"),
    ("samples/rocket.jpg", 224, "shortest", "bicubic"),
    ("samples/grace_hopper.jpg", 336, "shortest", "bicubic"),
    ("samples/coffee.png", 224, "squash", "bilinear"),
    ("samples/chelsea.png", 96, "shortest", "bicubic"),
    ("samples/flower.jpg", 96, "shortest", "bicubic"),
    ("samples/chelsea.png", 64, "squash", "bilinear"),
    ("samples/rocket.jpg", 64, "squash", "bilinear"),
    ("samples/chelsea.png", 64, "shortest", "bilinear"),
    ("samples/chelsea.png", 64, "squash", "bicubic"),
    ("samples/flower.jpg", 64, "squash", "bicubic"),
    ("images/jpeg-large.jpg", 96, "shortest", "bicubic"),
    ("images/jpeg-orientation-6.jpg", 96, "shortest", "bicubic"),
    ("images/jpeg-orientation-7.jpg", 64, "squash", "bilinear"),
    ("images/png-rgb-8-adam7.png", 64, "squash", "bilinear"),
    ("images/png-rgb-8.png", 96, "squash", "bicubic"),
]
NORMALISED = ["chelsea.png", "grace_hopper.jpg"]

# (width, height) of noise; 33 and 24 are the sizes to reach: same size, one pixel more or less, thin, far smaller
NOISE_SIZES = [
    *[(1, 1), (1, 7), (7, 1), (2, 2), (2, 3), (5, 4), (1, 90), (90, 1), (31, 17), (32, 33), (33, 32), (33, 33)],
    *[(34, 33), (33, 34), (66, 66), (67, 66), (65, 99), (24, 25), (25, 24), (24, 24), (47, 24), (24, 71), (101, 37)],
    *[(40, 97), (130, 3), (3, 130), (91, 90), (12, 12), (11, 13), (100, 50)],
]
NOISE_WAYS = [(33, "shortest", "bicubic"), (24, "squash", "bilinear"), (24, "shortest", "bilinear")]


@dataclass
class PixelGolden:
    tensors: dict[str, np.ndarray]
    cases: list[dict]
    pixel_values: list[dict]


def may_be_scaled(path: Path, width: int, height: int, size: int) -> bool:
    """Whether a decoder may have reduced the picture already, so that pixels may differ by a little."""
    is_jpeg = path.read_bytes()[:2] == b"\xff\xd8"
    return is_jpeg and min(width, height) >= SCALED_DECODING_FROM * size


def golden_pixels(pictures: Iterable[Path], root: Path, mean: list[float], std: list[float]) -> PixelGolden:
    """U8 [size, size, 3] of each picture, and F32 [3, SIZE, SIZE] pixel values of two samples."""
    golden = PixelGolden({}, [], [])
    for path in pictures:
        name = path.relative_to(root).as_posix()
        image = upright_rgb(Image.open(path))
        facts = {"image": name, "width": image.width, "height": image.height}
        details = [detail[1:] for detail in DETAILED if name.endswith(detail[0])]
        for size, resize, interpolation in [(SIZE, "shortest", "bicubic"), *details]:
            tensor = f"{path.name}/{size}/{resize}/{interpolation}"
            golden.tensors[tensor] = crop_pixels(image, size, resize, interpolation)
            exact = not may_be_scaled(path, image.width, image.height, size)
            how = {"size": size, "resize": resize, "interpolation": interpolation, "tensor": tensor, "exact": exact}
            golden.cases.append(facts | how)
        if path.name in NORMALISED:
            tensor = f"{path.name}/pixel-values"
            pixels = golden.tensors[f"{path.name}/{SIZE}/shortest/bicubic"]
            golden.tensors[tensor] = normalise(pixels, mean, std)
            golden.pixel_values.append({"image": name, "tensor": tensor, "size": SIZE, "mean": mean, "std": std})
    return golden


def golden_resizes() -> tuple[dict[str, np.ndarray], list[dict]]:
    """(tensors, cases): seeded noise `<case>/input` U8 [height, width, 3] and what PIL makes of it, `<case>/output`."""
    random = np.random.default_rng(4)
    tensors, cases = {}, []
    for index, (width, height) in enumerate(NOISE_SIZES):
        pixels = random.integers(0, 256, (height, width, 3), dtype=np.uint8)
        # every second input is black and white only: the filter's overshoot has to be clipped on both sides
        if index % 2 == 1:
            pixels = np.where(pixels > 127, np.uint8(255), np.uint8(0))
        ways = NOISE_WAYS if index % 3 == 0 else NOISE_WAYS[index % 2 : index % 2 + 1]
        for size, resize, interpolation in ways:
            case = f"{width}x{height}/{size}/{resize}/{interpolation}"
            tensors[f"{width}x{height}/input"] = pixels
            tensors[f"{case}/output"] = crop_pixels(Image.fromarray(pixels), size, resize, interpolation)
            how = {"size": size, "resize": resize, "interpolation": interpolation}
            cases.append(how | {"input": f"{width}x{height}/input", "output": f"{case}/output"})
    return tensors, cases
