"""Label sets: ensembles, the file format, and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors import safe_open
from test_cli import run

from clip_export.clip_tokenizer import ClipTokenizer
from clip_export.encoders import float_text_encoder, graph_text_encoder
from clip_export.label_file import read_lines
from clip_export.label_set import (
    LabelSet,
    embed_labels,
    read_label_set,
    write_label_set,
)
from clip_export.label_texts import LabelSetError, fill_template
from clip_export.sources.source import Source

ROWS = np.array([[1, 0, 0], [0, 0.6, 0.8]], np.float32)
LABELS = ["tabby cat", "café / “bar”"]
MADE = LabelSet("food-1", "random", "ab" * 32, LABELS, ["a photo of a {}."], ROWS)


def test_an_ensemble_is_the_normalised_mean_of_unit_embeddings(source: Source) -> None:
    encode_texts = float_text_encoder(source)
    templates = ["a photo of a {}.", "art of the {}.", "{}"]
    rows = embed_labels(["cat", "dog"], templates, encode_texts)
    for row, label in zip(rows, ["cat", "dog"], strict=True):
        prompts = [template.replace("{}", label) for template in templates]
        mean = np.mean([encode_texts([prompt])[0] for prompt in prompts], axis=0)
        np.testing.assert_allclose(row, mean / np.linalg.norm(mean), atol=1e-6)
    assert rows.dtype == np.float32


def test_an_ensemble_averages_before_it_normalises() -> None:
    embeddings = {"a x": [1.0, 0.0], "b x": [0.0, 1.0], "c x": [1.0, 0.0]}
    rows = embed_labels(["x"], ["a {}", "b {}", "c {}"], lambda texts: np.array([embeddings[text] for text in texts]))
    np.testing.assert_allclose(rows, [[2 / 5**0.5, 1 / 5**0.5]], rtol=1e-6)


def test_templates_may_name_the_label_twice() -> None:
    assert fill_template("{} or not {}", r"\1 {x} $&") == r"\1 {x} $& or not \1 {x} $&"


def test_file_is_read_by_the_safetensors_library(tmp_path: Path) -> None:
    write_label_set(MADE, tmp_path / "set.safetensors")
    with safe_open(tmp_path / "set.safetensors", framework="numpy") as file:
        assert list(file.keys()) == ["embeddings"]
        assert np.array_equal(file.get_tensor("embeddings"), ROWS)
        metadata = file.metadata()
    expected = {"format": "edgeclip-label-set/1", "name": "food-1", "model": "random", "revision": "ab" * 32}
    lists = {"labels": LABELS, "templates": ["a photo of a {}."]}
    assert {key: metadata[key] for key in expected} == expected
    assert {key: json.loads(metadata[key]) for key in lists} == lists
    assert set(metadata) == {*expected, *lists}
    header_bytes = int.from_bytes((tmp_path / "set.safetensors").read_bytes()[:8], "little")
    assert header_bytes % 8 == 0


def test_round_trip_and_equal_bytes(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    write_label_set(MADE, first)
    write_label_set(read_label_set(first), second)
    assert first.read_bytes() == second.read_bytes()
    assert read_label_set(second).labels == LABELS


@pytest.mark.parametrize(
    ("labels", "templates", "message"),
    [
        ([], ["{}"], "no labels"),
        (["cat", "dog", "cat"], ["{}"], "cat"),
        (["cat"], [], "no templates"),
        (["cat"], ["{}", "a photo"], "a photo"),
    ],
)
def test_texts_that_make_no_set(labels: list[str], templates: list[str], message: str) -> None:
    with pytest.raises(LabelSetError, match=message):
        embed_labels(labels, templates, lambda texts: np.ones((len(texts), 2)))


def test_files_that_are_no_set(tmp_path: Path) -> None:
    path = tmp_path / "set.safetensors"
    write_label_set(replace(MADE, embeddings=ROWS * 2), path)
    with pytest.raises(LabelSetError, match="length 1"):
        read_label_set(path)
    write_label_set(replace(MADE, labels=["one"]), path)
    with pytest.raises(LabelSetError, match="1 labels but 2"):
        read_label_set(path)
    path.write_bytes(b"not a label set")
    with pytest.raises(LabelSetError, match="not a label set"):
        read_label_set(path)


@pytest.mark.parametrize("name", ["", "Upper", "a/b", "../x", ".x", "a" * 65, "é"])
def test_names_that_the_api_refuses(tmp_path: Path, name: str) -> None:
    with pytest.raises(LabelSetError, match="must match"):
        write_label_set(replace(MADE, name=name), tmp_path / "set.safetensors")
    assert not list(tmp_path.iterdir())


def test_built_in_set_is_made_by_the_bundles_own_encoder(bundle: Path) -> None:
    built_in = read_label_set(bundle / "labels" / "animals.safetensors")
    rows = embed_labels(
        built_in.labels, built_in.templates, graph_text_encoder(bundle / "text.onnx", ClipTokenizer(77))
    )
    np.testing.assert_allclose(built_in.embeddings, rows, atol=1e-6)
    assert built_in.revision == json.loads((bundle / "model.json").read_text())["revision"]


def test_lines_are_trimmed_and_empty_ones_dropped(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_bytes(b"  tabby cat \r\n\r\nespresso\n\n")
    assert read_lines(tmp_path / "labels.txt") == ["tabby cat", "espresso"]


def test_a_file_that_is_no_label_set_is_not_overwritten(bundle: Path, tmp_path: Path) -> None:
    """`--out birds.txt` for `birds.safetensors` is easily typed."""
    labels = tmp_path / "birds.txt"
    labels.write_text("magpie\nrobin\n", encoding="utf-8")
    examples = tmp_path / "birds" / "magpie"
    examples.mkdir(parents=True)
    Image.new("RGB", (32, 32)).save(examples / "1.png")
    embedded = ("labels", bundle, "--name", "birds", "--labels", labels, "--out")
    shown = ("prototypes", bundle, "--name", "birds", "--examples", examples.parent, "--out")
    made, photos = tmp_path / "birds.safetensors", tmp_path / "photos.tsv"
    photos.write_text("1.png\tmagpie\n", encoding="utf-8")
    calibrated = ("calibrate", bundle, made, "--images", photos, "--image-folder", examples, "--out")
    assert run(*embedded, made).exit_code == 0
    for command in (embedded, shown, calibrated):
        refused = run(*command, labels)
        assert (refused.exit_code, "is there and no label set" in refused.output) == (1, True), refused.output
        nowhere = run(*command, tmp_path / "new" / "birds.safetensors")
        assert (nowhere.exit_code, "is no folder: make it" in nowhere.output) == (1, True), nowhere.output
    assert labels.read_text(encoding="utf-8") == "magpie\nrobin\n"
    assert run(*shown, made).exit_code == 0  # another label set in its place is what was asked for
