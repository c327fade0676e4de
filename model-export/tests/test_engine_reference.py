"""The engine's arithmetic in PyTorch: against the golden files, its bounds, and a bundle from end to end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from clip_export.bundle import BundleFacts, write_bundle
from clip_export.bundle_encoders import EngineEncoders, bundle_image_encoder, bundle_text_encoder
from clip_export.encoders import float_image_encoder
from clip_export.engine.architecture import image_architecture
from clip_export.engine.calibration import fast_candidates
from clip_export.engine.file import EngineFileError, read_engine_tensors, write_engine_file
from clip_export.engine.linear import pack_linears
from clip_export.engine.reference import EngineEncoder, largest_activation, quantise_activations
from clip_export.engine.resnet_reference import image_encoder
from clip_export.engine.weights import Tensors, image_tensors
from clip_export.golden import random_clip, random_siglip
from clip_export.golden.engine import MODELS, golden_engine
from clip_export.golden.engine_model import unit_rows
from clip_export.manifest import read_manifest, read_parts
from clip_export.sources.source import Source
from clip_export.stages import Subject
from clip_export.tolerance import Tolerance
from clip_export.verify import check_quality, measure_bundle, noise

GOLDEN = Path(__file__).parents[2] / "test/fixtures/golden"


@pytest.fixture(scope="module")
def cases() -> dict[str, dict[str, Any]]:
    return {case["name"]: case for case in json.loads((GOLDEN / "engine.json").read_text(encoding="ascii"))["cases"]}


@pytest.mark.parametrize("name", MODELS)
def test_committed_golden_files(cases: dict[str, dict[str, Any]], name: str) -> None:
    case, tensors = cases[name], load_file(GOLDEN / "engine.safetensors")
    image, text = (
        make(read_engine_tensors((GOLDEN / case[tower]["file"]).read_bytes()), case[tower]["architecture"])
        for tower, make in (("image", image_encoder), ("text", EngineEncoder))
    )
    images = image.embed_images(torch.from_numpy(tensors[f"{name}/pixels"])).numpy()
    ids = [torch.tensor([row]) for row in case["ids"]]
    texts = np.concatenate(
        [text.embed_texts(row, case["text"]["endOfText"], case["text"]["padId"]).numpy() for row in ids]
    )
    for made, expected in ((images, tensors[f"{name}/images"]), (texts, tensors[f"{name}/texts"])):
        assert made.shape == expected.shape
        assert (made.astype(np.float64) * expected).sum(axis=1).min() > 1 - 1e-6
        # inputs of one kind must not all look alike, or a wrong encoder would pass
        assert (expected[1:] @ expected[0]).min() < 0.98


@pytest.mark.parametrize("name", [case.name for case in (*random_clip.FAST_CASES, *random_siglip.FAST_CASES)])
def test_fast_products_are_near_float(cases: dict[str, dict[str, Any]], name: str) -> None:
    case, tensors = cases[name], load_file(GOLDEN / "engine.safetensors")
    seed = list(MODELS).index(name)
    model = MODELS[name](np.random.default_rng(seed))
    assert set(case["image"]["architecture"]["fast"]) == set(fast_candidates(model.image))
    pixels = torch.from_numpy(tensors[f"{name}/pixels"])
    in_float = unit_rows(model.embed_images, pixels), unit_rows(model.embed_texts, case["ids"])
    for made, expected in zip(in_float, (tensors[f"{name}/images"], tensors[f"{name}/texts"]), strict=True):
        cosines = (made.astype(np.float64) * expected).sum(axis=1)
        assert cosines.min() > 0.998
        assert cosines.max() < 1 - 1e-6  # or nothing was rounded to 7 bits


def assert_nearly_the_same(made: Tensors, committed: Tensors) -> None:
    """What was folded by float32 sums has other last bits on other machines, or with other numbers of threads."""
    assert set(made) == {name for name in committed if not name.startswith("pad.")}
    for name, values in made.items():
        assert (values.dtype, values.shape) == (committed[name].dtype, committed[name].shape), name
        if values.dtype == np.float32:
            np.testing.assert_allclose(values, committed[name], rtol=1e-4, atol=1e-5, err_msg=name)
        elif values.dtype == np.int8:
            off = np.abs(values.astype(int) - committed[name])
            assert off.max() <= 1, name
            assert (off > 0).mean() < 0.01, name


def test_committed_golden_files_are_current(cases: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    committed = load_file(GOLDEN / "engine.safetensors")
    for golden in golden_engine():
        assert golden.entry == cases[golden.entry["name"]], "regenerate test/fixtures"
        for name, values in golden.tensors.items():
            np.testing.assert_allclose(committed[name], values, atol=1e-5)
        for tower, tensors in (("image", golden.image), ("text", golden.text)):
            write_engine_file(tmp_path / "x", tower, tensors)
            file = GOLDEN / golden.entry[tower]["file"]
            if "fast" in golden.entry[tower]["architecture"]:
                assert_nearly_the_same(tensors, load_file(file))
            else:
                assert (tmp_path / "x").read_bytes() == file.read_bytes()
    assert sum(path.stat().st_size for path in GOLDEN.glob("engine*")) < 1_650_000


@pytest.mark.parametrize("inputs", [1, 16, 147, 256, 516, 1024, 3072, 65536])
def test_the_worst_sum_fits_an_int32(inputs: int) -> None:
    amax = largest_activation(inputs)
    assert inputs * 127 * amax <= 2**31 - 1
    assert amax == 32767 or inputs * 127 * (amax + 1) > 2**31 - 1


def test_activations_are_rounded_per_row() -> None:
    rows = torch.tensor([[1.0, -2.0, 0.5], [0.0, 0.0, 0.0], [3e30, -1e30, 1.0], [1e-30, 0.0, -1e-30]])
    values, scales = quantise_activations(rows)
    assert torch.equal(values, values.round())
    assert values.abs().max() <= 32767
    assert values[0].tolist() == [16384, -32767, 8192]  # halves go to the even number
    assert not values[1].any()
    assert torch.allclose(values.float() * scales, rows, rtol=0, atol=1e26)
    assert torch.isfinite(values).all()


def test_an_image_is_embedded_alike_in_any_company(source: Source, tmp_path: Path) -> None:
    manifest = write_bundle(tmp_path, source, EngineEncoders(source), BundleFacts("x", "x", "none"))
    content = read_parts(tmp_path, manifest["image"]["files"])
    encoder = EngineEncoder(read_engine_tensors(content), manifest["image"]["architecture"])
    pixels = torch.from_numpy(noise(source.image_size))[:8]
    alone = torch.cat([encoder.embed_images(row[None]) for row in pixels])
    assert (encoder.embed_images(pixels) - alone).abs().max() < 1e-6


def test_an_architecture_need_not_say_what_all_of_clip_has(source: Source) -> None:
    tensors, pixels = pack_linears(image_tensors(source.model)), torch.from_numpy(noise(source.image_size))[:1]
    whole = image_architecture(source.model.config)
    short = {key: value for key, value in whole.items() if key not in ("classToken", "projection")}
    images = [EngineEncoder(tensors, architecture).embed_images(pixels) for architecture in (whole, short)]
    assert torch.equal(*images)


def test_a_missing_tensor_is_named(source: Source) -> None:
    tensors = pack_linears(image_tensors(source.model))
    del tensors["layers.1.fc1.scale"]
    architecture = image_architecture(source.model.config)
    with pytest.raises(EngineFileError, match=r"layers\.1\.fc1\.scale"):
        EngineEncoder(tensors, architecture).embed_images(torch.zeros(1, 3, 32, 32))


def test_an_engine_bundle(source: Source, facts: BundleFacts, tmp_path: Path) -> None:
    write_bundle(tmp_path, source, EngineEncoders(source), facts, part_bytes=1_000_000)
    manifest = read_manifest(tmp_path)
    assert (manifest["image"]["runtime"], manifest["text"]["runtime"]) == ("engine", "engine")
    assert manifest["image"]["architecture"]["patch"] == 8
    assert [entry["path"] for entry in manifest["image"]["files"]] == ["image.safetensors"]
    assert [entry["path"] for entry in manifest["text"]["files"]] == ["text.safetensors.1", "text.safetensors.2"]
    quality = measure_bundle(Subject(tmp_path, manifest, source)).quality()
    assert set(quality["parity"]["image"]) == {"on", "count", "engineWeights"}
    assert set(quality["parity"]["text"]) == {"count", "engineWeights"}
    check_quality(quality, Tolerance())
    pixels = noise(source.image_size)
    images = bundle_image_encoder(tmp_path, manifest)(pixels)
    assert (images * float_image_encoder(source)(pixels)).sum(axis=1).min() > 0.9995
    texts = ["a cat", "a much longer text about a cat", "a dog"]
    rows = bundle_text_encoder(tmp_path, manifest)(texts)  # sorted by length inside, given back in order
    alone = np.concatenate([bundle_text_encoder(tmp_path, manifest)([text]) for text in texts])
    np.testing.assert_allclose(rows, alone, atol=1e-6)
