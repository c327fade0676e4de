"""model.json: hashes, parts, and a revision that changes exactly when an embedding could."""

from __future__ import annotations

import copy
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from clip_export.atomic import replacing
from clip_export.bundle import BundleFacts, LabelTexts, write_bundle
from clip_export.bundle_encoders import FloatGraphs
from clip_export.label_set import LabelSetError
from clip_export.manifest import BundleError, files_of, read_manifest, read_parts, revision, split_file, write_manifest
from clip_export.sources.source import Source


def test_manifest_is_the_contract(bundle: Path) -> None:
    written = json.loads((bundle / "model.json").read_text(encoding="utf-8"))
    assert written["format"] == "edgeclip-model/1"
    assert written["id"] == "random"
    assert written["embeddingDim"] == 32
    assert written["similarity"] == {"kind": "softmax", "logitScale": pytest.approx(2.718281828**2.6592, rel=1e-4)}
    settings = {key: written["image"][key] for key in ("size", "resize", "interpolation", "runtime")}
    assert settings == {"size": 32, "resize": "shortest", "interpolation": "bicubic", "runtime": "onnx"}
    text = written["text"]
    assert (text["contextLength"], text["pooling"], text["padTo"], text["runtime"]) == (77, "graph", None, "onnx")
    tokenizer = {key: value for key, value in text["tokenizer"].items() if key != "files"}
    numbers = {"startOfText": 49406, "endOfText": 49407, "vocabularySize": 49408}
    assert tokenizer == {"kind": "clip-bpe", **numbers}
    assert [entry["path"] for entry in text["tokenizer"]["files"]] == ["merges.bin", "html-entities.json"]
    assert [entry["name"] for entry in written["labelSets"]] == ["animals"]
    assert written["source"]["kind"] == "huggingface"
    assert written["source"]["name"] == "random-clip"


def test_every_file_is_listed_with_its_length_and_hash(bundle: Path) -> None:
    entries = files_of(read_manifest(bundle))
    on_disk = {path.relative_to(bundle).as_posix() for path in bundle.rglob("*") if path.is_file()}
    assert {entry["path"] for entry in entries} == on_disk - {"model.json"}
    for entry in entries:
        content = (bundle / entry["path"]).read_bytes()
        assert set(entry) == {"path", "bytes", "sha256"}
        assert (entry["bytes"], entry["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())


@pytest.mark.parametrize("damage", ["flip", "truncate", "remove"])
def test_a_damaged_file_is_named(bundle: Path, damage: str) -> None:
    path = bundle / "merges.bin"
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content if damage == "flip" else content[:-1])
    if damage == "remove":
        path.unlink()
    with pytest.raises(BundleError, match=r"merges\.bin"):
        read_manifest(bundle)


def test_a_folder_without_a_manifest_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="not a model bundle"):
        read_manifest(tmp_path)


def changed(manifest: dict[str, Any], *path: str | int, value: object) -> dict[str, Any]:
    result = copy.deepcopy(manifest)
    place = result
    for key in path[:-1]:
        place = place[key]
    assert place[path[-1]] != value
    place[path[-1]] = value
    return result


def test_revision_changes_with_what_changes_an_embedding(bundle: Path) -> None:
    manifest = read_manifest(bundle)
    assert revision(manifest) == manifest["revision"]
    for path, value in (
        (("image", "files", 0, "sha256"), "0" * 64),
        (("text", "files", 0, "sha256"), "0" * 64),
        (("text", "tokenizer", "files", 1, "sha256"), "0" * 64),
        (("image", "mean"), [0.5, 0.5, 0.5]),
        (("image", "resize"), "squash"),
        (("text", "contextLength"), 64),
        (("embeddingDim",), 31),
    ):
        assert revision(changed(manifest, *path, value=value)) != manifest["revision"], path


def test_revision_stays_with_what_does_not(bundle: Path) -> None:
    manifest = read_manifest(bundle)
    for path, value in (
        (("title",), "Another title"),
        (("license",), "MIT"),
        (("source", "name"), "elsewhere"),
        (("similarity", "logitScale"), 50.0),
        (("labelSets",), []),
        (("quality",), {"parity": {}}),
    ):
        assert revision(changed(manifest, *path, value=value)) == manifest["revision"], path
    reordered = json.loads(json.dumps(manifest, sort_keys=True))
    assert revision(reordered) == manifest["revision"]
    write_manifest(bundle, {**manifest, "quality": {"accuracy": []}})
    assert read_manifest(bundle)["revision"] == manifest["revision"]


def test_large_files_are_split_in_order(tmp_path: Path) -> None:
    content = bytes(range(256)) * 10
    path = tmp_path / "image.onnx"
    path.write_bytes(content)
    assert split_file(path, 2560) == [path]
    parts = split_file(path, 1000)
    assert [part.name for part in parts] == ["image.onnx.1", "image.onnx.2", "image.onnx.3"]
    assert [part.stat().st_size for part in parts] == [1000, 1000, 560]
    assert b"".join(part.read_bytes() for part in parts) == content
    assert not path.exists()


def test_a_split_bundle_runs(source: Source, graphs: FloatGraphs, facts: BundleFacts, tmp_path: Path) -> None:
    write_bundle(tmp_path, source, graphs, facts, part_bytes=1_000_000)
    manifest = read_manifest(tmp_path)
    assert len(manifest["text"]["files"]) == 2
    assert all(entry["bytes"] <= 1_000_000 for entry in files_of(manifest))
    whole = tmp_path / "whole"
    whole.mkdir()
    unsplit = write_bundle(whole, source, graphs, facts)
    assert read_parts(tmp_path, manifest["text"]["files"]) == read_parts(whole, unsplit["text"]["files"])


def test_a_failed_export_leaves_the_old_bundle(tmp_path: Path) -> None:
    target = tmp_path / "model"
    target.mkdir()
    (target / "model.json").write_text("old")

    def broken_export() -> None:
        with replacing(target) as folder:
            (folder / "model.json").write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        broken_export()
    assert (target / "model.json").read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_new_bundle_replaces_the_old_and_keeps_its_card(tmp_path: Path) -> None:
    target = tmp_path / "model"
    target.mkdir()
    (target / "README.md").write_text("card")
    (target / "stale.bin").write_text("old")
    (target / "model.json").write_text("old")
    with replacing(target) as folder:
        (folder / "model.json").write_text("new")
    assert list(tmp_path.iterdir()) == [target]
    assert {path.name: path.read_text() for path in target.iterdir()} == {"model.json": "new", "README.md": "card"}


def test_a_folder_of_other_things_is_not_deleted(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(BundleError, match="would be deleted"), replacing(tmp_path):
        pass
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_labels_that_make_no_set_are_refused_before_anything_is_exported(tmp_path: Path) -> None:
    facts = BundleFacts("x", "x", "x", [LabelTexts("x", ["cat"], ["a photo"])])
    with pytest.raises(LabelSetError, match="a photo"):
        write_bundle(tmp_path, None, None, facts)
    assert not list(tmp_path.iterdir())
