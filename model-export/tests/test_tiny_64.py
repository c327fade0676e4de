"""The committed bundles, as they are in the repository: without their checkpoint, which is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from PIL import Image

from clip_export.bundle_encoders import bundle_image_encoder, bundle_text_encoder
from clip_export.label_file import read_lines
from clip_export.label_set import embed_labels, read_label_set
from clip_export.manifest import PART_BYTES, files_of, read_manifest, read_parts
from clip_export.preprocess import pixel_values
from clip_export.tolerance import Tolerance
from clip_export.verify import check_quality, noise

REPOSITORY = Path(__file__).parents[2]
BUNDLE = REPOSITORY / "public/models/tiny-64"
ONNX_BUNDLE = REPOSITORY / "test/fixtures/onnx/models/tiny-64-onnx"
LABEL_SETS = {"imagenet-200": ("a-photo-of-a", 200), "cifar-10": ("simple-7", 10)}


@pytest.fixture(scope="module")
def manifest() -> dict[str, Any]:
    """Checks every hash and the revision on its way."""
    return read_manifest(BUNDLE)


@pytest.fixture(scope="module")
def onnx_manifest() -> dict[str, Any]:
    return read_manifest(ONNX_BUNDLE)


@pytest.mark.parametrize(("bundle", "beside"), [(BUNDLE, {"README.md"}), (ONNX_BUNDLE, set())])
def test_files(bundle: Path, beside: set[str]) -> None:
    entries = files_of(read_manifest(bundle))
    assert {entry["path"] for entry in entries} | {"model.json"} | beside == {
        path.relative_to(bundle).as_posix() for path in bundle.rglob("*") if path.is_file()
    }
    assert all(entry["bytes"] <= PART_BYTES for entry in entries)
    assert sum(entry["bytes"] for entry in entries) < 27.5e6


def test_the_default_runs_on_the_engine(manifest: dict[str, Any], onnx_manifest: dict[str, Any]) -> None:
    for tower in ("image", "text"):
        assert (manifest[tower]["runtime"], onnx_manifest[tower]["runtime"]) == ("engine", "onnx")


def test_the_onnx_bundle_is_of_the_same_checkpoint(manifest: dict[str, Any], onnx_manifest: dict[str, Any]) -> None:
    assert onnx_manifest["source"] == manifest["source"]
    assert onnx_manifest["text"]["tokenizer"] == manifest["text"]["tokenizer"]
    check_quality(onnx_manifest["quality"], Tolerance())


def test_graphs_are_plain_onnx(onnx_manifest: dict[str, Any]) -> None:
    for part in ("image", "text"):
        model = onnx.load_from_string(read_parts(ONNX_BUNDLE, onnx_manifest[part]["files"]))
        assert {node.domain for node in model.graph.node} == {""}
        onnx.checker.check_model(model)


@pytest.mark.parametrize("name", LABEL_SETS)
def test_label_sets_are_made_from_the_files_beside(manifest: dict[str, Any], name: str) -> None:
    templates, count = LABEL_SETS[name]
    made = read_label_set(BUNDLE / "labels" / f"{name}.safetensors")
    assert made.labels == read_lines(REPOSITORY / f"model-export/label-sets/{name}.txt")
    assert made.templates == read_lines(REPOSITORY / f"model-export/templates/{templates}.txt")
    assert (made.name, made.model, made.revision) == (name, "tiny-64", manifest["revision"])
    assert made.embeddings.shape == (count, 256)
    np.testing.assert_allclose(np.linalg.norm(made.embeddings, axis=1), 1, atol=1e-5)
    few = made.labels[::10]
    rows = embed_labels(few, made.templates, bundle_text_encoder(BUNDLE, manifest))
    assert (rows * made.embeddings[::10]).sum(axis=1).min() > 0.9999


def test_the_default_set_is_the_200(manifest: dict[str, Any]) -> None:
    assert [entry["name"] for entry in manifest["labelSets"]] == ["imagenet-200", "cifar-10"]


@pytest.mark.parametrize(
    ("photo", "label", "least"), [("chelsea.png", "tabby cat", 0.35), ("coffee.png", "espresso", 0.8)]
)
def test_photos_that_nobody_trained_on(manifest: dict[str, Any], photo: str, label: str, least: float) -> None:
    image = manifest["image"]
    with Image.open(REPOSITORY / "samples" / photo) as picture:
        settings = [image[key] for key in ("size", "resize", "interpolation", "mean", "std")]
        pixels = pixel_values(picture, *settings)[None]
    embedding = bundle_image_encoder(BUNDLE, manifest)(pixels)[0]
    made = read_label_set(BUNDLE / "labels/imagenet-200.safetensors")
    logits = manifest["similarity"]["logitScale"] * (made.embeddings @ embedding).astype(np.float64)
    scores = np.exp(logits) / np.exp(logits).sum()
    assert made.labels[int(scores.argmax())] == label
    assert scores.max() > least


def test_what_was_measured_is_within_the_tolerance(manifest: dict[str, Any]) -> None:
    quality = manifest["quality"]
    check_quality(quality, Tolerance())
    assert [(entry["photos"], entry["count"]) for entry in quality["accuracy"]] == [
        ("photos-200", 2000),
        ("cifar10", 1000),
    ]


def test_engine_weights_cost_next_to_nothing(manifest: dict[str, Any]) -> None:
    # the image encoder's worst is of 3,000 photos; of the 500 that the bench takes it is 0.99965
    for tower, worst in (("image", 0.9994), ("text", 0.9995)):
        measured = manifest["quality"]["parity"][tower]["engineWeights"]
        assert measured["cosineMean"] >= 0.9999
        assert measured["cosineWorst"] >= worst


def test_at_the_edge_as_in_pytorch(manifest: dict[str, Any]) -> None:
    parity = manifest["quality"]["parity"]
    for tower, worst in (("image", 0.9994), ("text", 0.9995)):
        assert parity[tower]["edge"]["cosineMean"] >= 0.9999
        assert parity[tower]["edge"]["cosineWorst"] >= worst
    assert parity["text"]["edge"]["tokenIdsDiffer"] == 0
    for entry in manifest["quality"]["accuracy"]:
        assert entry["edge"]["top1"] == pytest.approx(entry["float"]["top1"], abs=0.005)
        assert entry["calibration"]["eceAfter"] < entry["calibration"]["eceBefore"]


def test_report_and_card_say_what_the_manifest_says(manifest: dict[str, Any]) -> None:
    report = (REPOSITORY / "docs/reports/tiny-64.html").read_text(encoding="utf-8")
    card = (BUNDLE / "README.md").read_text(encoding="utf-8")
    quality = manifest["quality"]
    assert manifest["revision"] in report
    for tower in quality["parity"].values():
        for stage in ("engineWeights", "edge"):
            assert f"{tower[stage]['cosineMean']:.6f}" in report
            assert f"{tower[stage]['cosineWorst']:.6f}" in report
    for entry in quality["accuracy"]:
        for variant in ("float", "int8", "edge"):
            shares = [f"{100 * entry[variant][key]:.2f} %" for key in ("top1", "top5", "ece")]
            assert '</td><td class="n">'.join(shares) in report
            assert " | ".join(shares) in card


def test_both_bundles_answer_alike(manifest: dict[str, Any], onnx_manifest: dict[str, Any]) -> None:
    bundles = ((BUNDLE, manifest), (ONNX_BUNDLE, onnx_manifest))
    pixels = noise(manifest["image"]["size"])[:4]
    images = [bundle_image_encoder(*bundle)(pixels) for bundle in bundles]
    texts = [bundle_text_encoder(*bundle)(["a dog", "a photo of a cat."]) for bundle in bundles]
    for engine, graph in (images, texts):
        assert (engine * graph).sum(axis=1).min() > 0.995
