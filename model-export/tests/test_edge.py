"""The edge's own code through Node, compared with PyTorch and with the reference tokenizer."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clip_export.bundle import BundleFacts, write_bundle
from clip_export.bundle_encoders import EngineEncoders, FloatGraphs
from clip_export.edge import SCRIPT, EdgeCode, EdgeError, edge_images, edge_texts, find_edge
from clip_export.encoders import float_image_encoder, float_text_encoder
from clip_export.manifest import read_manifest, write_manifest
from clip_export.photo_list import PhotoList, load_pixels
from clip_export.sources.source import Source
from clip_export.stages import Subject
from clip_export.tolerance import Tolerance
from clip_export.verify import ORDINARY_TEXTS, check_quality, measure_bundle

try:
    CODE, MISSING = find_edge(), ""
except EdgeError as error:  # a checkout without `npm install`: that has its own test
    CODE, MISSING = EdgeCode(Path(), Path()), str(error)
needs_node = pytest.mark.skipif(bool(MISSING), reason=MISSING)

TEXTS = [*ORDINARY_TEXTS, "naïve &amp; façade", "日本語の写真", "a " * 200, "x" * 70]


@pytest.fixture(scope="module")
def engine_bundle(source: Source, facts: BundleFacts, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "engine"
    folder.mkdir()
    write_bundle(folder, source, EngineEncoders(source), facts)
    return folder


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """More than one request's; of every format that the edge reads, and of more than one size."""
    folder, random = tmp_path_factory.mktemp("photos"), np.random.default_rng(0)
    files = [folder / f"{number}.{ending}" for number, ending in enumerate(["png", "jpg", "webp", "gif"] * 5)]
    for number, file in enumerate(files):
        Image.fromarray(random.integers(0, 256, (40 + number, 64, 3), dtype=np.uint8)).save(file)
    return files


@needs_node
def test_pictures_from_their_files(engine_bundle: Path, source: Source, photos: list[Path]) -> None:
    files = [*photos[:17], engine_bundle / "model.json", *photos[17:]]
    edge = edge_images(CODE, engine_bundle, files)
    assert list(edge.refused) == [17]
    assert edge.refused[17] == "This is JSON; send JPEG, PNG, WebP or GIF."
    assert np.isnan(edge.embeddings[17]).all()
    embeddings = np.delete(edge.embeddings, 17, axis=0)
    expected = float_image_encoder(source)(load_pixels(PhotoList("p", photos, []), source.preprocessing))
    assert (embeddings * expected).sum(axis=1).min() > 0.9995
    assert set(edge.milliseconds) == {"decode", "preprocess", "encode"}


@needs_node
def test_texts(engine_bundle: Path, source: Source) -> None:
    import open_clip

    edge = edge_texts(CODE, engine_bundle, TEXTS)
    tokens = open_clip.get_tokenizer("ViT-B-32")(TEXTS, context_length=source.text.context_length).tolist()
    assert edge.token_ids == [row[: row.index(49407) + 1] for row in tokens]
    assert (edge.embeddings * float_text_encoder(source)(TEXTS)).sum(axis=1).min() > 0.999


@needs_node
def test_onnx(bundle: Path, source: Source, graphs: FloatGraphs) -> None:
    """From the command's side: noise instead of photos, and all stages."""
    quality = measure_bundle(Subject(bundle, read_manifest(bundle), source, graphs, CODE)).quality()
    for tower in ("image", "text"):
        assert list(quality["parity"][tower])[-3:] == ["floatGraph", "int8", "edge"]
        assert quality["parity"][tower]["edge"]["cosineWorst"] > 0.995
    assert quality["parity"]["text"]["edge"]["tokenIdsDiffer"] == 0
    check_quality(quality, Tolerance())


@needs_node
def test_a_bundle_that_does_not_run_there(engine_bundle: Path, photos: list[Path], tmp_path: Path) -> None:
    damaged = tmp_path / "damaged"
    shutil.copytree(engine_bundle, damaged)
    (damaged / "image.safetensors").write_bytes(b"\0" * (damaged / "image.safetensors").stat().st_size)
    with pytest.raises(EdgeError, match=r"image\.safetensors has not the sha256 of its manifest"):
        edge_images(CODE, damaged, photos[:1])
    write_manifest(damaged, {**read_manifest(engine_bundle), "text": None})
    with pytest.raises(EdgeError, match="has no text encoder"):
        edge_texts(CODE, damaged, ["a dog"])
    (damaged / "model.json").unlink()
    with pytest.raises(EdgeError, match=r"encode-bundle.ts ended: .*no such file.*model\.json"):
        edge_texts(CODE, damaged, ["a dog"])


def make_repository(folder: Path) -> Path:
    """A checkout in which nobody has run `npm install`."""
    script = folder / SCRIPT
    script.parent.mkdir(parents=True)
    script.write_text("")
    return folder


def test_without_the_packages(tmp_path: Path) -> None:
    bundle = make_repository(tmp_path) / "public/models/x"
    with pytest.raises(EdgeError, match="run `npm install` there"):
        find_edge(bundle)


@pytest.mark.skipif(sys.platform == "win32", reason="a shell script stands for an old Node")
def test_an_old_node(tmp_path: Path) -> None:
    repository = make_repository(tmp_path)
    for file in ("node_modules/node/bin/node", "build/engine.wasm"):
        (repository / file).parent.mkdir(parents=True)
        (repository / file).write_text("#!/bin/sh\necho v20.19.4\n")
    (repository / "node_modules/node/bin/node").chmod(0o755)
    with pytest.raises(EdgeError, match=r"is v20\.19\.4; 22\.18 or newer is needed"):
        find_edge(repository)
