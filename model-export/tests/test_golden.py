"""The golden writer: its PNG files against PIL, its pictures' promises, and that it writes the same bytes twice."""

from __future__ import annotations

import filecmp
import json
import shutil
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.numpy import load_file
from transformers import CLIPConfig, CLIPModel

from clip_export.golden import write_golden
from clip_export.golden.bad_images import bad_images
from clip_export.golden.embeddings import EMBEDDED_TEXTS
from clip_export.golden.jpeg_images import jpeg_images
from clip_export.golden.photos import cc0_photos, small
from clip_export.golden.png_images import DEPTHS, NAMES, at_depth, channels, every_kind
from clip_export.golden.png_writer import GREY, PALETTE, PngOptions, write_png
from clip_export.golden.predictions import scores
from clip_export.golden.tokens import golden_tokens
from clip_export.golden.webp_gif_images import gif_images, webp_images
from clip_export.preprocess import upright_rgb

REPOSITORY = Path(__file__).parents[2]
SAMPLES = REPOSITORY / "samples"


@pytest.fixture(scope="module")
def photos() -> dict[str, Image.Image]:
    return cc0_photos(SAMPLES)


def opened(file: bytes) -> np.ndarray:
    return np.asarray(upright_rgb(Image.open(BytesIO(file))))


def test_png_writer_of_every_kind_is_read_by_pil(photos: dict[str, Image.Image]) -> None:
    picture = small(photos["coffee"], 71, 53)
    files = every_kind(picture)
    for colour_type, depths in DEPTHS.items():
        for depth in depths:
            name = f"png-{NAMES[colour_type]}-{depth}"
            plain, adam7 = opened(files[f"{name}.png"]), opened(files[f"{name}-adam7.png"])
            assert np.array_equal(plain, adam7), name
            if colour_type == PALETTE:
                continue
            stored = at_depth(channels(picture, colour_type), depth)[:, :, : 1 if colour_type in (GREY, 4) else 3]
            expected = stored >> 8 if depth == 16 else stored.astype(int) * 255 // (2**depth - 1)
            assert np.array_equal(plain, np.broadcast_to(expected, plain.shape)), name


@pytest.mark.parametrize("size", [(1, 1), (3, 2), (8, 8), (9, 1), (17, 33)])
@pytest.mark.parametrize("interlaced", [False, True])
def test_png_writer_palette_of_any_size(size: tuple[int, int], interlaced: bool) -> None:
    random = np.random.default_rng(0)
    palette = random.integers(0, 256, (4, 3), dtype=np.uint8)
    indices = random.integers(0, 4, (size[1], size[0], 1), dtype=np.uint8)
    file = write_png(indices, PngOptions(PALETTE, 2, interlaced, palette=palette.tobytes()))
    assert np.array_equal(opened(file), palette[indices[:, :, 0]])


def test_oriented_jpegs_show_the_same_picture(photos: dict[str, Image.Image]) -> None:
    files = jpeg_images(photos)
    reference = opened(files["jpeg-orientation-1.jpg"]).astype(int)
    for orientation in range(2, 9):
        picture = opened(files[f"jpeg-orientation-{orientation}.jpg"])
        assert picture.shape == reference.shape
        assert abs(picture - reference).mean() < 8


def test_cmyk_jpegs_show_the_photo(photos: dict[str, Image.Image]) -> None:
    files = jpeg_images(photos)
    photo = np.asarray(small(photos["coffee"], 157, 119)).astype(int)
    for name in ("jpeg-cmyk.jpg", "jpeg-ycck.jpg", "jpeg-cmyk-without-adobe.jpg", "jpeg-rgb.jpg", "jpeg-420-odd.jpg"):
        assert abs(opened(files[name]) - photo).mean() < 8, name


def test_animations_start_with_their_first_frame(photos: dict[str, Image.Image]) -> None:
    webp, gif = webp_images(photos), gif_images(photos)
    assert np.array_equal(opened(webp["webp-animated-lossless.webp"]), np.asarray(small(photos["rocket"], 81, 67)))
    assert abs(opened(gif["gif-animated.gif"]) - np.asarray(small(photos["rocket"], 71, 53)).astype(int)).mean() < 6
    assert opened(gif["gif-small-frame.gif"]).shape == (80, 90, 3)


def test_bad_images_are_small_and_bad(photos: dict[str, Image.Image]) -> None:
    files = bad_images(photos)
    assert sum(len(file.content) for file in files.values()) < 300_000
    for name, file in files.items():
        assert file.codes, name
        if name.startswith(("truncated", "text", "empty", "drawing", "document", "no-")):
            with pytest.raises((OSError, SyntaxError)):
                opened(file.content)


def test_scores() -> None:
    cosines = np.array([0.3, 0.1, -0.2])
    logits = torch.tensor(cosines) * 10 - 2
    assert np.allclose(scores("softmax", cosines, 10, -2), logits.softmax(0), rtol=1e-12)
    assert np.allclose(scores("sigmoid", cosines, 10, -2), logits.sigmoid(), rtol=1e-12)
    assert np.allclose(scores("logit", cosines, 10, -2), logits, rtol=1e-12)


def test_committed_tokens_are_those_of_the_reference() -> None:
    committed = json.loads((REPOSITORY / "test/fixtures/golden/tokens.json").read_text(encoding="ascii"))
    assert committed == golden_tokens(committed["contextLength"]), "regenerate test/fixtures"


@pytest.fixture(scope="module")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tower = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = CLIPConfig(
        text_config={**tower, "bos_token_id": 49406, "eos_token_id": 49407, "max_position_embeddings": 77},
        vision_config={**tower, "image_size": 32, "patch_size": 16},
        projection_dim=16,
    )
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("model")
    CLIPModel(config).save_pretrained(folder)
    return folder


def test_writes_the_same_bytes_twice(tiny_model: Path, tmp_path: Path) -> None:
    for run in ("one", "two"):
        shutil.copytree(SAMPLES, tmp_path / run / "samples")
        write_golden(tiny_model, tmp_path / run / "golden", tmp_path / run / "samples", tmp_path / run)
    files = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*") if path.is_file())
    assert len(files) > 100
    different = filecmp.cmpfiles(tmp_path / "one", tmp_path / "two", files, shallow=False)[1:]
    assert different == ([], [])
    tensors = load_file(tmp_path / "one" / "golden" / "embeddings.safetensors")
    assert tensors["images"].shape == (5, 16)
    assert tensors["texts"].shape == (len(EMBEDDED_TEXTS), 16)
    assert all(np.allclose(np.linalg.norm(rows, axis=-1), 1, atol=1e-5) for rows in tensors.values())
