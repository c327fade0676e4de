"""Random crops in training: as torchvision draws them, resized by PIL."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from PIL import Image
from test_train_pairs import picture
from torchvision.transforms import RandomResizedCrop

from clip_export.train.crop import crop_box, random_resized_crop


def test_crops_are_distributed_as_torchvisions() -> None:
    random, count, least = np.random.default_rng(0), 4000, 0.4
    torch.manual_seed(0)
    image = Image.new("RGB", (160, 120))
    theirs = [RandomResizedCrop.get_params(image, [least, 1.0], [3 / 4, 4 / 3]) for _ in range(count)]
    theirs = np.array([(left, top, width, height) for top, left, height, width in theirs])
    ours = np.array([crop_box(160, 120, least, random) for _ in range(count)])
    assert (ours[:, 0] + ours[:, 2]).max() <= 160
    assert (ours[:, 1] + ours[:, 3]).max() <= 120
    ours, theirs = ((*boxes.T, boxes[:, 2] / boxes[:, 3]) for boxes in (ours, theirs))
    for mine, reference in zip(ours, theirs, strict=True):
        assert mine.mean() == pytest.approx(reference.mean(), abs=5 * reference.std() * math.sqrt(2 / count))
        assert mine.std() == pytest.approx(reference.std(), rel=0.1)


@pytest.mark.parametrize("size", [(300, 20), (20, 300)])
def test_a_picture_that_is_too_long_is_cropped_in_its_middle(size: tuple[int, int]) -> None:
    top, left, height, width = RandomResizedCrop.get_params(Image.new("RGB", size), [0.9, 1.0], [3 / 4, 4 / 3])
    assert crop_box(*size, 0.9, np.random.default_rng(0)) == (left, top, width, height)


def test_a_crop_is_resized_by_pil() -> None:
    box = crop_box(16, 12, 0.3, np.random.default_rng(1))
    part = picture(0).crop((box[0], box[1], box[0] + box[2], box[1] + box[3]))
    expected = np.asarray(part.resize((8, 8), Image.Resampling.BICUBIC))
    assert np.array_equal(random_resized_crop(picture(0), 8, "bicubic", 0.3, np.random.default_rng(1)), expected)
