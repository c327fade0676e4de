"""Accuracy, parity, and that verify refuses what is beyond its tolerance."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clip_export.accuracy import zero_shot_accuracy
from clip_export.bundle_encoders import FloatGraphs
from clip_export.errors import ExportError
from clip_export.manifest import read_manifest
from clip_export.photo_list import PhotoList, read_photo_list
from clip_export.sources.source import Source
from clip_export.stages import Subject
from clip_export.tolerance import Tolerance
from clip_export.verify import ToleranceError, check_quality, measure_bundle

PARITY = {
    "count": 1,
    "floatGraph": {"cosineMean": 1, "cosineWorst": 1},
    "int8": {"cosineMean": 1, "cosineWorst": 0.996},
}
ACCURACY = {"photos": "p", "float": {"top1": 0.54}, "int8": {"top1": 0.535}}
GOOD = {"parity": {"image": PARITY, "text": PARITY}, "accuracy": [ACCURACY]}


def test_accuracy_by_hand() -> None:
    images = np.eye(4, dtype=np.float32)
    texts = np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0.6, 0.8], [0, 0, 0.8, 0.6]], np.float32)
    measured = zero_shot_accuracy(images, texts, 1000.0, ["a", "b", "c", "d"], ["a", "b", "c", "d"])
    assert (measured.top1, measured.top5) == (0.5, 1.0)
    assert measured.ece == pytest.approx(0.5)  # sure of all four answers, right in two


def test_a_sigmoid_scores_each_label_by_itself() -> None:
    images, texts = np.ones((4, 1)), np.array([[1.0], [0.5]])
    measured = zero_shot_accuracy(images, texts, 10.0, ["a", "b"], ["a", "a", "a", "b"], logit_bias=-9.0)
    assert measured.top1 == 0.75
    assert measured.ece == pytest.approx(abs(1 / (1 + np.exp(-1)) - 0.75))


def test_top5_is_not_everything() -> None:
    texts = np.linspace(1, 0.1, 10)[:, None]
    labels = [str(number) for number in range(10)]
    measured = zero_shot_accuracy(np.ones((3, 1)), texts, 1.0, labels, ["0", "4", "5"])
    assert (measured.top1, measured.top5) == (pytest.approx(1 / 3), pytest.approx(2 / 3))


def test_a_photo_of_no_label_is_refused() -> None:
    with pytest.raises(ExportError, match="zebra"):
        zero_shot_accuracy(np.ones((1, 1)), np.ones((1, 1)), 1.0, ["cat"], ["zebra"])


def test_within_tolerance() -> None:
    check_quality(GOOD, Tolerance())


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("parity", "image", "int8", "cosineWorst"), 0.9949, "image, int8"),
        (("parity", "text", "int8", "cosineWorst"), float("nan"), "text, int8"),
        (("parity", "text", "floatGraph", "cosineWorst"), 0.999, "text, floatGraph"),
        (("accuracy", 0, "int8", "top1"), 0.529, "p: int8 loses 1.10%"),
    ],
)
def test_beyond_tolerance(path: tuple, value: float, message: str) -> None:
    quality = copy.deepcopy(GOOD)
    place = quality
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    with pytest.raises(ToleranceError, match=message):
        check_quality(quality, Tolerance())


@pytest.fixture
def photos(tmp_path: Path) -> PhotoList:
    folder = tmp_path / "photos"
    folder.mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (6, 40, 50, 3), dtype=np.uint8)
    for number, photo in enumerate(pixels):
        Image.fromarray(photo).save(folder / f"{number}.png")
    lines = [f"{number}.png\t{label}" for number, label in enumerate(["cat", "dog", "horse"] * 2)]
    (tmp_path / "six.tsv").write_text("\n".join(lines) + "\n\n")
    return read_photo_list(tmp_path / "six.tsv", folder)


def test_quality_of_a_good_bundle(source: Source, graphs: FloatGraphs, bundle: Path, photos: PhotoList) -> None:
    quality = measure_bundle(Subject(bundle, read_manifest(bundle), source, graphs), [photos]).quality()
    check_quality(quality, Tolerance(top1_loss=1))
    assert quality["parity"]["image"]["count"] == 6
    assert quality["parity"]["image"]["on"] == "photos"
    assert quality["parity"]["text"]["count"] > 3 * 2
    assert [entry["labelSet"] for entry in quality["accuracy"]] == ["animals"]
    assert quality["accuracy"][0]["count"] == 6


def test_without_photos_noise_is_compared(source: Source, graphs: FloatGraphs, bundle: Path) -> None:
    quality = measure_bundle(Subject(bundle, read_manifest(bundle), source, graphs)).quality()
    assert quality["parity"]["image"]["on"] == "noise"
    assert quality["accuracy"] == []
    check_quality(quality, Tolerance())


def test_photos_of_no_built_in_set(source: Source, graphs: FloatGraphs, bundle: Path, photos: PhotoList) -> None:
    strangers = PhotoList("strangers", photos.files, ["zebra"] * 6)
    with pytest.raises(ExportError, match="strangers"):
        measure_bundle(Subject(bundle, read_manifest(bundle), source, graphs), [strangers])
