"""Where PyTorch computes, and the checkpoint's text encoder in place of the bundle's."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import save_random_clip
from test_cli import run

from clip_export.bundle import BundleFacts, write_bundle
from clip_export.bundle_encoders import EngineEncoders
from clip_export.commands.calibrate import CalibrateOptions, embed_background
from clip_export.commands.labels import LabelOptions
from clip_export.devices import find_device, lent_to
from clip_export.errors import ExportError
from clip_export.label_embedding import embed_all
from clip_export.label_set import LabelSet, read_label_set
from clip_export.label_texts import LabelTexts
from clip_export.manifest import read_manifest
from clip_export.prompt_encoders import source_prompt_encoder
from clip_export.sources.source import Source, load_source

LABELS = ["tabby cat", "dog", "café"]


def test_devices_are_found_or_refused_by_name() -> None:
    assert find_device("cpu") == torch.device("cpu")
    assert find_device().type == ("cuda" if torch.cuda.is_available() else "cpu")
    for name in ("tpu", "cuda:99", "cpu:1", "meta", ""):
        with pytest.raises(ExportError, match=f"--device {name}: "):
            find_device(name)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has one")
def test_a_card_that_is_not_there(bundle: Path, checkpoint: Path, tmp_path: Path) -> None:
    labels = tmp_path / "labels.txt"
    labels.write_text("cat\n")
    made = run("labels", bundle, "--labels", labels, "--name", "x", "--out", tmp_path / "x", "--device", "cuda")
    verified = run("verify", bundle, checkpoint, "--device", "cuda:1")
    exported = run("export", checkpoint, "--id", "x", "--out", tmp_path / "y", "--device", "cuda")
    for result in (made, verified, exported):
        assert result.exit_code == 1
        assert "no CUDA device here; --device cpu always works" in result.output
    assert sorted(path.name for path in tmp_path.iterdir()) == ["labels.txt", "random"]


def test_a_model_is_lent_and_given_back() -> None:
    model = torch.nn.Linear(2, 2)
    weight = model.weight.clone()
    with lent_to(torch.device("cpu"), model):
        assert model.weight.device.type == "cpu"
    assert torch.equal(model.weight, weight)


@pytest.fixture
def image_only(checkpoint: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "image-only"
    folder.mkdir()
    source = load_source(str(checkpoint), image_only=True)
    write_bundle(folder, source, EngineEncoders(source), BundleFacts("images", "Images", "none"))
    return folder


def test_an_image_only_bundle_takes_the_checkpoints_texts(
    image_only: Path, checkpoint: Path, source: Source, tmp_path: Path
) -> None:
    labels, out = tmp_path / "labels.txt", tmp_path / "x.st"
    labels.write_text("\n".join(LABELS))
    options = ["--labels", labels, "--name", "x", "--out", out]
    refused = run("labels", image_only, *options)
    assert refused.exit_code == 1
    assert "images has no text encoder: it was exported with --image-only. Name the checkpoint" in refused.output
    other = run("labels", image_only, *options, "--source", save_random_clip(tmp_path / "other", seed=1))
    assert other.exit_code == 1
    assert "and images was made from random-clip, " in other.output
    result = run("labels", image_only, *options, "--source", checkpoint, "--device", "cpu")
    assert result.exit_code == 0, result.output
    found = read_label_set(out)
    assert found.revision == read_manifest(image_only)["revision"]
    assert json.loads(found.more["textEncoder"]) == "random-clip, float32"
    with torch.inference_mode():
        tokens = [torch.tensor([source_tokens]) for source_tokens in token_ids()]
        expected = torch.cat([source.model.get_text_features(input_ids=ids).pooler_output for ids in tokens])
    expected = torch.nn.functional.normalize(expected, dim=-1)
    np.testing.assert_allclose(found.embeddings, expected, atol=1e-5)


def token_ids() -> list[list[int]]:
    """By open_clip's tokenizer."""
    from clip_export.clip_tokenizer import encode

    return [encode(f"a photo of a {label}.", 77) for label in LABELS]


def test_the_background_of_example_pictures(image_only: Path, checkpoint: Path, tmp_path: Path) -> None:
    """[regression] Whether a text encoder made the set was asked of one that no texts made."""
    manifest = read_manifest(image_only)
    (tmp_path / "background.txt").write_text("nothing.")
    made = LabelSet("x", "images", manifest["revision"], ["a"], [], np.eye(1, 32, dtype=np.float32))
    options = CalibrateOptions(0.05, LabelOptions(torch.device("cpu"), str(checkpoint)), tmp_path / "background.txt")
    assert embed_background(image_only, manifest, made, options).embeddings.shape == (1, 32)
    with pytest.raises(ExportError, match="leave --source out"):
        embed_background(image_only, manifest, replace(made, templates=["{}"]), options)


def test_half_precision_is_near_float(source: Source) -> None:
    manifest = {"id": "random", "source": source.facts()}
    rows = {}
    for precision in ("float32", "bfloat16"):
        encoder = source_prompt_encoder(source, manifest, precision)
        rows[precision] = embed_all(LabelTexts("", LABELS, ["a photo of a {}.", "{}"]), encoder).rows
    cosines = (rows["float32"] * rows["bfloat16"]).sum(axis=1)
    assert cosines.min() > 0.999
    assert cosines.min() < 0.9999999  # it is not float after all


def test_precision_is_the_checkpoints(bundle: Path, source: Source, tmp_path: Path) -> None:
    labels = tmp_path / "labels.txt"
    labels.write_text("cat\n")
    options = ["--labels", labels, "--name", "x", "--out", tmp_path / "x.st", "--precision", "bfloat16"]
    result = run("labels", bundle, *options)
    assert result.exit_code == 1
    assert "--precision are for --source" in result.output
    with pytest.raises(ExportError, match="only its images are loaded"):
        source_prompt_encoder(replace(source, text=None), {"id": "random", "source": source.facts()})
