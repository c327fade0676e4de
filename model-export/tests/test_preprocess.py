"""Preprocessing against torchvision on PIL images, which is what CLIP and open_clip use."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from torchvision.transforms import CenterCrop, Compose, InterpolationMode, Normalize, Resize, ToTensor

from clip_export.preprocess import crop_pixels, normalise, pixel_values, resized_size, upright_rgb

INTERPOLATION = {"bicubic": InterpolationMode.BICUBIC, "bilinear": InterpolationMode.BILINEAR}
MEAN, STD = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]
SIZES = [(1, 1), (64, 64), (63, 64), (65, 64), (100, 37), (37, 100), (451, 300), (600, 20), (3, 90), (129, 131)]


def noise(width: int, height: int) -> Image.Image:
    pixels = np.random.default_rng(width * 1000 + height).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
@pytest.mark.parametrize("size", [64, 33])
def test_shortest_equals_torchvision(width: int, height: int, interpolation: str, size: int) -> None:
    image = noise(width, height)
    expected = Compose([Resize(size, INTERPOLATION[interpolation]), CenterCrop(size)])(image)
    assert np.array_equal(crop_pixels(image, size, "shortest", interpolation), np.asarray(expected))


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_squash_equals_torchvision(width: int, height: int) -> None:
    image = noise(width, height)
    expected = Resize((64, 64), InterpolationMode.BILINEAR)(image)
    assert np.array_equal(crop_pixels(image, 64, "squash", "bilinear"), np.asarray(expected))


def test_the_longer_side_is_truncated() -> None:
    assert resized_size(451, 300, 64, "shortest") == (96, 64)
    assert resized_size(300, 451, 64, "shortest") == (64, 96)
    assert resized_size(451, 300, 64, "squash") == (64, 64)


def test_pixel_values_equal_torchvision_bit_by_bit() -> None:
    image = noise(200, 150)
    pipeline = Compose([Resize(64, InterpolationMode.BICUBIC), CenterCrop(64), ToTensor(), Normalize(MEAN, STD)])
    values = pixel_values(image, 64, "shortest", "bicubic", MEAN, STD)
    assert values.dtype == np.float32
    assert values.shape == (3, 64, 64)
    assert np.array_equal(values, pipeline(image).numpy())


def test_normalise_stays_in_float32() -> None:
    every_value = np.repeat(np.arange(256, dtype=np.uint8).reshape(16, 16, 1), 3, axis=2)
    assert np.array_equal(normalise(every_value, MEAN, STD), Compose([ToTensor(), Normalize(MEAN, STD)])(every_value))


def test_orientation_is_applied() -> None:
    image = noise(30, 20)
    image.getexif()[0x112] = 6
    upright = upright_rgb(image)
    assert upright.size == (20, 30)
    assert np.array_equal(np.asarray(upright), np.rot90(np.asarray(image), -1))


def test_alpha_is_dropped_not_blended() -> None:
    image = noise(9, 9)
    transparent = image.convert("RGBA")
    transparent.putalpha(0)
    assert np.array_equal(np.asarray(upright_rgb(transparent)), np.asarray(image))


def test_16_bit_grey_is_its_high_byte() -> None:
    samples = np.array([[0, 255, 256, 0x7FFF, 0xFFFF]], dtype=np.uint16)
    assert np.asarray(upright_rgb(Image.fromarray(samples)))[0, :, 0].tolist() == [0, 0, 1, 127, 255]


@pytest.mark.parametrize(("resize", "interpolation"), [("longest", "bicubic"), ("shortest", "lanczos")])
def test_unknown_ways_are_named(resize: str, interpolation: str) -> None:
    with pytest.raises(ValueError, match=r"longest|lanczos"):
        crop_pixels(noise(9, 9), 8, resize, interpolation)
