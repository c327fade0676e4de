"""The engine's files: the layout of a linear, alignment, names, and what is refused."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from transformers import CLIPConfig, CLIPModel

from clip_export.engine.architecture import ArchitectureError, image_architecture, text_architecture
from clip_export.engine.file import ALIGNMENT, EngineFileError, read_engine_tensors, write_engine_file
from clip_export.engine.linear import pack, pack_linears, unpack
from clip_export.engine.weights import image_tensors, linear, text_tensors
from clip_export.sources.source import Source


def test_element_of_a_panel() -> None:
    values = np.arange(16 * 32).reshape(16, 32).astype(np.int8)
    panels = pack(values, 2)
    assert panels.shape == (2, 16, 8, 2)
    for p, k, c, j in np.ndindex(panels.shape):
        assert panels[p, k, c, j] == values[8 * p + c, 2 * k + j]


@pytest.mark.parametrize("inputs", [1, 15, 16, 17, 147, 768])
def test_inputs_are_padded_with_zeros(inputs: int) -> None:
    values = np.random.default_rng(0).integers(-127, 128, (24, inputs)).astype(np.int8)
    panels = pack(values, 2)
    assert panels.shape == (3, -(-inputs // 16) * 8, 8, 2)
    assert np.array_equal(unpack(panels, inputs), values)
    assert not unpack(panels, 2 * panels.shape[1])[:, inputs:].any()


def test_linear_is_symmetric_and_rounded_per_output() -> None:
    weight = np.random.default_rng(0).standard_normal((8, 20)).astype(np.float32) * np.logspace(-4, 4, 8)[:, None]
    weight = np.vstack([weight, np.zeros((8, 20))]).astype(np.float32)
    tensors = pack_linears(linear("x", weight))
    assert set(tensors) == {"x.weight", "x.scale"}
    values = unpack(tensors["x.weight"], 20)
    assert list(np.abs(values).max(axis=1)) == [127] * 8 + [0] * 8
    error = np.abs(values * tensors["x.scale"][:, None] - weight)
    assert (error <= tensors["x.scale"][:, None] * 0.5001).all()
    assert np.isfinite(tensors["x.scale"]).all()


def test_whole_numbers_times_a_scale_come_back_exactly() -> None:
    values = np.random.default_rng(0).integers(-127, 128, (8, 30))
    values[:, 7] = 127
    tensors = pack_linears(linear("x", (values * 2.0**-9).astype(np.float32)))
    assert np.array_equal(unpack(tensors["x.weight"], 30), values)
    assert (tensors["x.scale"] == 2.0**-9).all()


@pytest.fixture
def files(source: Source, tmp_path: Path) -> dict[str, Path]:
    paths = {name: tmp_path / f"{name}.safetensors" for name in ("image", "text")}
    write_engine_file(paths["image"], "image", pack_linears(image_tensors(source.model)))
    write_engine_file(paths["text"], "text", pack_linears(text_tensors(source.model)))
    return paths


def header_of(path: Path) -> tuple[dict[str, Any], int]:
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    return json.loads(content[8 : 8 + length]), 8 + length


@pytest.mark.parametrize("encoder", ["image", "text"])
def test_everything_is_aligned_and_nothing_is_missing(files: dict[str, Path], encoder: str) -> None:
    header, start = header_of(files[encoder])
    assert header.pop("__metadata__") == {"format": "edgeclip-engine/1", "encoder": encoder}
    assert start % ALIGNMENT == 0
    at = 0
    for name, entry in header.items():
        assert entry["data_offsets"][0] == at, name
        assert at % ALIGNMENT == 0 or name.startswith("pad."), name
        at = entry["data_offsets"][1]
    assert files[encoder].stat().st_size == start + at
    assert len(load_file(files[encoder])) == len(header)  # the library's own reader


def test_padding_keeps_tensors_aligned(tmp_path: Path) -> None:
    tensors = {"a": np.ones(24, np.float32), "b": np.ones((3, 5), np.int8), "c": np.ones(16, np.float32)}
    write_engine_file(tmp_path / "x", "image", tensors)
    header, _ = header_of(tmp_path / "x")
    assert [name for name in header if name != "__metadata__"] == ["a", "pad.0", "b", "pad.1", "c"]
    assert [header[name]["data_offsets"][0] for name in "abc"] == [0, 128, 192]
    assert header["pad.0"] == {"dtype": "U8", "shape": [32], "data_offsets": [96, 128]}
    read = read_engine_tensors((tmp_path / "x").read_bytes())
    assert set(read) == set("abc")
    assert all(np.array_equal(read[name], tensors[name]) for name in "abc")


def test_a_truncated_file_is_refused(files: dict[str, Path]) -> None:
    with pytest.raises(EngineFileError, match="not a safetensors file"):
        read_engine_tensors(files["image"].read_bytes()[:-1])


def test_names_shapes_and_types(files: dict[str, Path]) -> None:
    image = read_engine_tensors(files["image"].read_bytes())
    shapes = {name: (values.dtype.name, values.shape) for name, values in image.items()}
    assert shapes["patch.weight"] == ("int8", (4, 96, 8, 2))
    assert shapes["class"] == ("float32", (32,))
    assert shapes["positions"] == ("float32", (17, 32))
    assert shapes["layers.1.qkv.weight"] == ("int8", (12, 16, 8, 2))
    assert shapes["layers.1.qkv.scale"] == shapes["layers.1.qkv.bias"] == ("float32", (96,))
    assert shapes["layers.0.fc2.weight"] == ("int8", (4, 32, 8, 2))
    assert "patch.bias" not in shapes
    assert "projection.bias" not in shapes
    text = read_engine_tensors(files["text"].read_bytes())
    assert (text["tokens.weight"].dtype, text["tokens.weight"].shape) == (np.int8, (49408, 32))
    assert text["tokens.scale"].shape == (49408,)
    assert text["positions"].shape == (77, 32)


def test_queries_are_scaled(source: Source) -> None:
    tensors = image_tensors(source.model)
    attention = source.model.vision_model.encoder.layers[0].self_attn
    with torch.no_grad():
        expected = np.concatenate([attention.q_proj.weight / 4, attention.k_proj.weight, attention.v_proj.weight])
    np.testing.assert_array_equal(tensors["layers.0.qkv.weight"], expected)


def test_architectures_are_the_contract(source: Source) -> None:
    sizes = {"layers": 2, "width": 32, "heads": 2, "mlp": 64}
    transformer = {**sizes, "activation": "quick_gelu", "layerNormEps": 1e-5, "projection": True}
    config = source.model.config
    image = {"patch": 8, "classToken": True, "preNorm": True, "pooling": "cls"}
    assert image_architecture(config) == {**transformer, **image}
    assert text_architecture(config) == {**transformer, "causal": True, "pooling": "first-eot"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hidden_size": 36, "num_attention_heads": 2}, "width 36 is not a multiple of 8"),
        ({"num_attention_heads": 8}, "head width 4 is not a multiple of 8"),
        ({"intermediate_size": 60}, "MLP width 60 is not a multiple of 8"),
        ({"hidden_act": "relu"}, "activation 'relu'"),
        ({"image_size": 6}, "the patch 8 is larger than the image 6"),
        ({"num_channels": 1}, "1 channels"),
    ],
)
def test_what_the_engine_cannot_run_is_refused(change: dict[str, Any], message: str) -> None:
    vision = {"hidden_size": 32, "num_attention_heads": 2, "intermediate_size": 64, "image_size": 32, "patch_size": 8}
    config = CLIPConfig(vision_config={**vision, **change}, projection_dim=32)
    with pytest.raises(ArchitectureError, match=message):
        image_architecture(config)


def test_an_odd_embedding_is_refused() -> None:
    with pytest.raises(ArchitectureError, match="text encoder: the embedding 20 is not a multiple of 8"):
        text_architecture(CLIPConfig(projection_dim=20))


def test_every_parameter_of_the_checkpoint_is_in_a_file(source: Source, files: dict[str, Path]) -> None:
    model: CLIPModel = source.model
    count = sum(p.numel() for name, p in model.named_parameters() if name != "logit_scale")
    written = 0
    for path in files.values():
        tensors = read_engine_tensors(path.read_bytes())
        written += sum(values.size for name, values in tensors.items() if not name.endswith(".scale"))
    assert written == count  # no input of this model needs padding
