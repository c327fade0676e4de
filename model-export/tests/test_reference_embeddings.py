"""What the Worker's bench compares its embeddings with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from safetensors.numpy import load_file

from clip_export.encoders import float_image_encoder
from clip_export.photo_list import load_pixels, read_photo_list
from clip_export.reference_embeddings import write_reference
from clip_export.sources.source import load_source


def test_the_first_photos_in_order(checkpoint: Path, tmp_path: Path) -> None:
    colours = ["red", "green", "blue"]
    for colour in colours:
        Image.new("RGB", (48, 40), colour).save(tmp_path / f"{colour}.png")
    (tmp_path / "colours.tsv").write_text("".join(f"{colour}.png\t{colour}\n" for colour in colours))
    write_reference(str(checkpoint), tmp_path / "colours.tsv", tmp_path, 2, tmp_path / "two.safetensors")
    made = load_file(tmp_path / "two.safetensors")["embeddings"]
    source = load_source(str(checkpoint))
    photos = read_photo_list(tmp_path / "colours.tsv", tmp_path)
    expected = float_image_encoder(source)(load_pixels(photos, source.preprocessing))
    np.testing.assert_allclose(made, expected[:2], atol=1e-6)
