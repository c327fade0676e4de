"""From a checkpoint of open_clip's, or of SigLIP's images, through the commands to a bundle that is right."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import open_clip
import pytest
from PIL import Image
from test_cli import run
from transformers import SiglipConfig, SiglipModel
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

from clip_export.bundle_encoders import bundle_image_encoder, bundle_text_encoder
from clip_export.encoders import float_image_encoder, float_text_encoder
from clip_export.golden.random_weights import fill
from clip_export.golden.saved_open_clip import MOBILE, PLAIN, PREPARED, SIGLIP, SQUASHED, WEIGHTS, save_open_clip
from clip_export.manifest import read_manifest
from clip_export.preprocess import pixel_values
from clip_export.sources.source import load_source
from clip_export.verify import ORDINARY_TEXTS, noise

SAMPLES = sorted((Path(__file__).parents[2] / "samples").glob("*.[jp][pn]g"))
UNIT = {"mean": [0, 0, 0], "std": [1, 1, 1]}
"""MobileCLIP's"""


@pytest.fixture
def labels(tmp_path: Path) -> str:
    (tmp_path / "colours.txt").write_text("red\ngreen\nblue\n")
    (tmp_path / "templates.txt").write_text("a photo of a {}.\n")
    return f"{tmp_path}/colours.txt:{tmp_path}/templates.txt"


@pytest.fixture
def photos(tmp_path: Path) -> list[str]:
    for colour in ("red", "green", "blue"):
        Image.new("RGB", (48, 40), colour).save(tmp_path / f"{colour}.png")
    (tmp_path / "photos.tsv").write_text("red.png\tred\ngreen.png\tgreen\nblue.png\tblue\n")
    return ["--images", f"{tmp_path}/photos.tsv", "--image-folder", f"{tmp_path}"]


def cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a.astype(np.float64) * b).sum(axis=1)


@pytest.mark.parametrize(
    ("config", "preprocess", "text", "similarity"),
    [
        (PLAIN, UNIT, {"pooling": "first-eot", "padTo": None, "contextLength": 77}, "softmax"),
        (SIGLIP, SQUASHED, {"pooling": "last", "padTo": 20, "padId": 0, "contextLength": 20}, "sigmoid"),
    ],
    ids=["plain", "siglip"],
)
def test_export_and_verify(
    config: dict, preprocess: dict, text: dict, similarity: str, labels: str, photos: list[str], tmp_path: Path
) -> None:
    folder, out = save_open_clip(tmp_path / "checkpoint", config, preprocess), tmp_path / "models/x"
    result = run("export", folder, "--id", "x", "--out", out, "--labels", f"colours={labels}", *photos)
    assert result.exit_code == 0, result.output
    manifest = read_manifest(out)
    assert manifest["source"]["kind"] == "open_clip"
    assert manifest["similarity"]["kind"] == similarity
    assert {key: manifest["text"][key] for key in text} == text
    assert manifest["image"]["mean"] == preprocess["mean"]
    assert manifest["quality"]["accuracy"][0]["count"] == 3
    source, pixels = load_source(str(folder)), noise(manifest["image"]["size"])
    images = cosines(bundle_image_encoder(out, manifest)(pixels), float_image_encoder(source)(pixels))
    texts = cosines(bundle_text_encoder(out, manifest)(ORDINARY_TEXTS), float_text_encoder(source)(ORDINARY_TEXTS))
    assert min(images.min(), texts.min()) > 0.99999
    verified = run("verify", out, folder, *photos)
    assert verified.exit_code == 0, verified.output
    assert read_manifest(out)["quality"] == manifest["quality"]


def test_a_file_of_weights(labels: str, photos: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a model that open_clip knows by name: in all three commands."""
    weights, out = save_open_clip(tmp_path / "checkpoint") / WEIGHTS, tmp_path / "x"
    published = {**PREPARED, "interpolation": "bicubic", "resize_mode": "shortest"}
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "tiny", PLAIN)
    monkeypatch.setitem(open_clip.pretrained._PRETRAINED, "tiny", {"one": published})
    tiny, (names, templates) = ["open_clip:tiny", "--checkpoint", weights], labels.split(":")
    for arguments in (
        ["export", *tiny, "--id", "x", "--out", out, "--source-name", "mine"],
        ["verify", out, *tiny],
        ["compare-templates", *tiny, "--labels", names, "--templates", templates, *photos],
    ):
        result = run(*arguments)
        assert result.exit_code == 0, result.output
    assert read_manifest(out)["source"]["name"] == "mine"
    missing = run("export", "open_clip:tiny", "--checkpoint", tmp_path / "none.pt", "--id", "x", "--out", out)
    assert missing.exit_code == 2
    assert "none.pt" in missing.output


def test_calibration_sees_the_padding(labels: str, tmp_path: Path) -> None:
    folder, out = save_open_clip(tmp_path / "checkpoint", SIGLIP, SQUASHED), tmp_path / "x"
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    random = np.random.default_rng(0)
    for number in range(32):
        Image.fromarray(random.integers(0, 256, (20, 24, 3), dtype=np.uint8)).save(pictures / f"{number}.png")
    options = ["--calibrate", pictures, "--parity", "0.999"]
    result = run("export", folder, "--id", "x", "--out", out, "--labels", f"colours={labels}", *options)
    assert result.exit_code == 0, result.output
    assert "text encoder: " in result.output


@pytest.fixture(scope="module")
def mobile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the engine has not."""
    return save_open_clip(tmp_path_factory.mktemp("open_clip") / "mobile", MOBILE)


def test_what_the_engine_cannot_run_goes_to_onnxruntime(
    mobile: Path, labels: str, photos: list[str], tmp_path: Path
) -> None:
    out = tmp_path / "models/x"
    arguments = ["export", mobile, "--id", "x", "--out", out, "--labels", f"colours={labels}", *photos]
    refused = run(*arguments, "--runtime", "engine")
    assert refused.exit_code == 1
    assert "failed: image encoder: timm's FastVit, the engine runs VisionTransformer" in refused.output
    assert not out.exists()
    result = run(*arguments, "--min-cosine", "0.99", "--max-top1-loss", "1")
    assert result.exit_code == 0, result.output
    assert "--runtime onnx, for the engine cannot run this: image encoder: timm's FastVit" in result.output
    manifest = read_manifest(out)
    assert {name: manifest[name]["precision"] for name in ("image", "text")} == {"image": "int8", "text": "int8"}
    assert {key: manifest["text"][key] for key in ("padTo", "padId", "pooling")} == {
        "padTo": 16,
        "padId": 0,
        "pooling": "graph",
    }
    for measured in manifest["quality"]["parity"].values():
        assert {"floatGraph", "int8"} < set(measured)
    assert run("verify", out, mobile, *photos, "--min-cosine", "0.99", "--max-top1-loss", "1").exit_code == 0


@pytest.mark.parametrize("precision", ["float16", "float32"])
def test_float_weights(checkpoint: Path, tmp_path: Path, precision: str) -> None:
    out = tmp_path / "models/x"
    arguments = ["export", checkpoint, "--id", "x", "--out", out, "--precision", precision]
    refused = run(*arguments, "--runtime", "engine")
    assert refused.exit_code == 1
    assert f"failed: --precision {precision} is for --runtime onnx: its products are of int8 weights" in refused.output
    refused = run(*arguments, "--keep-float", "2")
    assert refused.exit_code == 1
    assert f"failed: --keep-float is for --precision int8: with {precision} no layer is int8" in refused.output
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    assert f"--runtime onnx, for the engine has no {precision}" in result.output
    parity = read_manifest(out)["quality"]["parity"]
    assert parity["image"][precision]["cosineWorst"] > 0.9999
    assert parity["text"][precision]["cosineWorst"] > 0.9999
    assert run("verify", out, checkpoint).exit_code == 0


@pytest.mark.parametrize("runtime", ["engine", "onnx"])
def test_images_alone(checkpoint: Path, photos: list[str], labels: str, tmp_path: Path, runtime: str) -> None:
    out = tmp_path / "models/x"
    arguments = ["export", checkpoint, "--id", "x", "--out", out, "--image-only", "--runtime", runtime]
    refused = run(*arguments, "--labels", f"colours={labels}")
    assert refused.exit_code == 1
    assert "failed: --labels are embedded by the text encoder, which --image-only leaves out" in refused.output
    keep = ["--keep-float", "1"] if runtime == "onnx" else []
    result = run(*arguments, *photos, *keep)
    assert result.exit_code == 0, result.output
    manifest = read_manifest(out)
    assert manifest["text"] is None
    assert manifest["labelSets"] == []
    assert list(manifest["quality"]["parity"]) == ["image"]
    assert {path.suffix for path in out.iterdir()} == {".json", ".onnx" if runtime == "onnx" else ".safetensors"}
    assert run("verify", out, checkpoint).exit_code == 0
    names, templates = labels.split(":")
    files = ["--labels", names, "--templates", templates, "--name", "colours", "--out", tmp_path / "colours.st"]
    made = run("labels", out, *files)
    assert made.exit_code == 1
    assert "failed: x has no text encoder: it was exported with --image-only" in made.output


@pytest.fixture
def siglip(tmp_path: Path) -> Path:
    """Of Hugging Face, with the preprocessing of the published ones."""
    sizes = {"hidden_size": 32, "num_attention_heads": 2, "num_hidden_layers": 2, "intermediate_size": 64}
    config = SiglipConfig(
        vision_config={**sizes, "image_size": 32, "patch_size": 8},
        text_config={**sizes, "vocab_size": 50, "projection_size": 32},
    )
    fill(SiglipModel(config).eval(), np.random.default_rng(0)).save_pretrained(tmp_path / "siglip")
    SiglipImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(tmp_path / "siglip")
    return tmp_path / "siglip"


def test_siglips_images(siglip: Path, photos: list[str], tmp_path: Path) -> None:
    out = tmp_path / "models/x"
    refused = run("export", siglip, "--id", "x", "--out", out)
    assert refused.exit_code == 1
    assert "there is no tokenizer in" in refused.output
    assert "--image-only" in refused.output
    result = run("export", siglip, "--id", "x", "--out", out, "--image-only", *photos)
    assert result.exit_code == 0, result.output
    manifest = read_manifest(out)
    assert manifest["similarity"]["kind"] == "sigmoid"
    settings = {key: manifest["image"][key] for key in ("size", "resize", "interpolation", "mean", "std")}
    half = [0.5, 0.5, 0.5]
    assert settings == {"size": 32, "resize": "squash", "interpolation": "bicubic", "mean": half, "std": half}
    source, pixels = load_source(str(siglip), image_only=True), noise(32)
    assert cosines(bundle_image_encoder(out, manifest)(pixels), float_image_encoder(source)(pixels)).min() > 0.99999


def test_siglips_pixels_are_its_processors(siglip: Path) -> None:
    """But for the last bits: the processor multiplies by 1/255 where the edge, like torchvision, divides by 255."""
    processor = SiglipImageProcessorPil.from_pretrained(siglip)
    preprocessing = load_source(str(siglip), image_only=True).preprocessing
    for file in SAMPLES:
        with Image.open(file) as photo:
            expected = processor(photo, return_tensors="np")["pixel_values"][0]
            np.testing.assert_allclose(pixel_values(photo, **preprocessing), expected, atol=3e-7)


def test_siglips_preprocessing_is_not_made_up(siglip: Path, tmp_path: Path) -> None:
    shutil.copytree(siglip, tmp_path / "copy")
    (tmp_path / "copy/preprocessor_config.json").unlink()
    result = run("export", tmp_path / "copy", "--id", "x", "--out", tmp_path / "x", "--image-only")
    assert result.exit_code == 1
    assert "preprocessor_config.json: image_mean is missing" in result.output
