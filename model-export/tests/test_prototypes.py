"""Label sets of example pictures."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from test_cli import run

from clip_export.bundle_encoders import bundle_image_encoder, bundle_text_encoder
from clip_export.label_set import embed_labels, read_label_set
from clip_export.label_texts import LabelSetError
from clip_export.manifest import read_manifest
from clip_export.photo_list import PhotoList, load_pixels
from clip_export.prototypes import find_examples, prototypes


@pytest.fixture
def examples(tmp_path: Path) -> Path:
    """Three pictures of a screw, two of a nut."""
    random = np.random.default_rng(0)
    for label, count in (("screw", 3), ("hex nut", 2)):
        (tmp_path / "parts" / label).mkdir(parents=True)
        for number in range(count):
            pixels = random.integers(0, 256, (40, 48, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "parts" / label / f"{number}.png")
    (tmp_path / "parts" / ".DS_Store").write_bytes(b"hidden")
    return tmp_path / "parts"


@pytest.mark.parametrize("weight", [0.0, 0.25, 1.0])
def test_a_label_is_the_mean_of_its_pictures_and_its_text(
    bundle: Path, examples: Path, tmp_path: Path, weight: float
) -> None:
    out = tmp_path / "parts.st"
    options = ["--examples", examples, "--name", "parts", "--out", out, "--text-weight", weight]
    result = run("prototypes", bundle, *options)
    assert result.exit_code == 0, result.output
    assert "2 labels of 5 pictures, 2 to 3 of each, for random" in result.output
    made, manifest = read_label_set(out), read_manifest(bundle)
    assert (made.labels, json.loads(made.more["examples"])) == (["hex nut", "screw"], [2, 3])
    encode = bundle_image_encoder(bundle, manifest)
    texts = embed_labels(made.labels, ["a photo of a {}."], bundle_text_encoder(bundle, manifest))
    for row, text, label in zip(made.embeddings, texts, made.labels, strict=True):
        files = sorted((examples / label).iterdir())
        mean = encode(load_pixels(PhotoList("x", files, []), manifest["image"])).mean(axis=0)
        expected = (1 - weight) * mean / np.linalg.norm(mean) + weight * text
        np.testing.assert_allclose(row, expected / np.linalg.norm(expected), atol=1e-5)
    assert made.templates == (["a photo of a {}."] if weight else [])


def test_broken_pictures_are_counted_and_named(bundle: Path, examples: Path, tmp_path: Path) -> None:
    (examples / "screw" / "0.png").write_bytes(b"no picture")
    options = ["--examples", examples, "--name", "parts", "--out", tmp_path / "parts.st"]
    result = run("prototypes", bundle, *options)
    assert result.exit_code == 0, result.output
    assert "1 of 5 photos left out: 0.png" in result.output
    assert json.loads(read_label_set(tmp_path / "parts.st").more["examples"]) == [2, 2]
    strict = run("prototypes", bundle, *options, "--strict")
    assert strict.exit_code == 1
    assert "cannot be read as a picture" in strict.output


def test_a_label_without_pictures(examples: Path, tmp_path: Path) -> None:
    with pytest.raises(LabelSetError, match="no picture can be read of nut"):
        prototypes(["nut", "screw"], ["screw"], np.ones((1, 2)))
    (examples / "washer").mkdir()
    with pytest.raises(LabelSetError, match="washer has no pictures"):
        find_examples(examples)
    (examples / "loose.png").write_bytes(b"")
    with pytest.raises(LabelSetError, match="in no label's folder"):
        find_examples(examples)
    (tmp_path / "empty").mkdir()
    with pytest.raises(LabelSetError, match="has no folders"):
        find_examples(tmp_path / "empty")
