"""CLIP's ResNets for the engine: what is mapped, what is folded, what is refused, and a bundle from end to end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from open_clip import CLIP
from test_cli import run
from torch import nn

from clip_export.bundle_encoders import bundle_image_encoder
from clip_export.encoders import float_image_encoder
from clip_export.engine import open_clip as engine_open_clip
from clip_export.engine.architecture import ArchitectureError
from clip_export.engine.linear import pack_linears
from clip_export.engine.reference import FloatLinears
from clip_export.engine.resnet_reference import ResNetEncoder
from clip_export.golden.engine_model import random_pixels
from clip_export.golden.random_weights import fill
from clip_export.golden.saved_open_clip import PLAIN, save_open_clip
from clip_export.manifest import read_manifest
from clip_export.sources.source import load_source
from clip_export.verify import noise

CONFIGS = Path(open_clip.__file__).parent / "model_configs"
TEXT = {"width": 16, "heads": 2, "layers": 1, "vocab_size": 50, "context_length": 9}


def resnet(
    width: int = 4, size: int = 32, layers: tuple[int, ...] = (1, 1, 1, 1), dim: int = 16, **vision: Any
) -> CLIP:
    vision = {"head_width": 16, **vision, "width": width, "image_size": size, "layers": layers}
    return fill(CLIP(dim, vision_cfg=vision, text_cfg=TEXT).eval(), np.random.default_rng(0))


@pytest.mark.parametrize(
    ("name", "stages", "width", "heads", "size"),
    [
        ("RN50-quickgelu", [3, 4, 6, 3], 64, 32, 224),
        ("RN101", [3, 4, 23, 3], 64, 32, 224),
        ("RN50x4", [4, 6, 10, 6], 80, 40, 288),
        ("RN50x16", [6, 8, 18, 8], 96, 48, 384),
        ("RN50x64", [3, 15, 36, 10], 128, 64, 448),
    ],
)
def test_published_models(name: str, stages: list[int], width: int, heads: int, size: int) -> None:
    config = json.loads((CONFIGS / f"{name}.json").read_text(encoding="utf-8"))
    with torch.device("meta"):  # no memory, no weights: their shapes are enough
        model = CLIP(**config)
    expected = {"kind": "resnet", "stages": stages, "width": width, "heads": heads}
    assert engine_open_clip.image_architecture(model) == expected
    assert model.visual.image_size == size


def test_names_and_shapes() -> None:
    """Convolutions are linears of 9 neighbours; the width 4 has 2 channels in the stem, padded to 8 in and out."""
    tensors = engine_open_clip.image_tensors(resnet(4, layers=(1, 2, 1, 1), size=64))
    shapes = {name: values.shape for name, values in tensors.items() if name.endswith(".weight")}
    assert list(shapes)[:3] == ["stem.0.weight", "stem.1.weight", "stem.2.weight"]
    assert (shapes["stem.0.weight"], shapes["stem.1.weight"]) == ((8, 27), (8, 72))
    assert not tensors["stem.1.weight"][2:].any()
    assert [shapes[f"stages.1.0.{name}.weight"] for name in ("conv1", "conv2", "downsample", "conv3")] == [
        (8, 16),
        (8, 72),
        (32, 16),
        (32, 8),
    ]
    assert "stages.1.1.downsample.weight" not in shapes
    assert tensors["positions"].shape == (5, 128)
    assert [shapes[f"{name}.weight"] for name in ("pool.q", "pool.kv", "projection")] == [
        (128, 128),
        (256, 128),
        (16, 128),
    ]


@torch.inference_mode()
@pytest.mark.parametrize(("width", "size"), [(2, 40), (6, 66), (16, 33)])
def test_folded_and_packed_it_is_open_clips(width: int, size: int) -> None:
    model = resnet(width, size, (2, 1, 1, 1))
    architecture, tensors = engine_open_clip.image_architecture(model), engine_open_clip.image_tensors(model)
    pixels = torch.from_numpy(random_pixels(size, np.random.default_rng(1)))
    expected = model.encode_image(pixels, normalize=True)
    in_float = ResNetEncoder(tensors, architecture, FloatLinears(tensors)).embed_images(pixels)
    np.testing.assert_allclose(in_float, expected, atol=1e-5)
    packed = ResNetEncoder(pack_linears(tensors), architecture).embed_images(pixels)
    assert (packed * expected).sum(dim=1).min() > 0.99999
    assert (expected[1:] @ expected[0]).min() < 0.99  # or a wrong encoder would pass


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (resnet(5), "image encoder: the width 5 is odd, the engine takes even ones"),
        (resnet(2, head_width=4), "image encoder: the head width 4 is not a multiple of 8"),
        (resnet(dim=12), "image encoder: the embedding 12 is not a multiple of 8"),
        (resnet(size=63), "of 63 pixels a side 2 x 2 are left in the end, its positions are for 1 x 1"),
        (resnet(size=24), "of 24 pixels a side 0 x 0 are left in the end"),
    ],
)
def test_what_the_engine_cannot_run(model: CLIP, message: str) -> None:
    with pytest.raises(ArchitectureError, match=message):
        engine_open_clip.image_architecture(model)


def test_another_pool_is_refused() -> None:
    model = resnet()
    model.visual.attnpool = nn.Identity()
    with pytest.raises(ArchitectureError, match="attnpool is a Identity, the engine has AttentionPool2d"):
        engine_open_clip.image_architecture(model)


def test_export_and_verify(tmp_path: Path) -> None:
    """The engine is the default; what is written is what open_clip computes."""
    vision = {"image_size": 64, "layers": [1, 2, 1, 1], "width": 4, "head_width": 32}
    folder, out = save_open_clip(tmp_path / "checkpoint", {**PLAIN, "vision_cfg": vision}), tmp_path / "models/x"
    result = run("export", folder, "--id", "x", "--out", out)
    assert result.exit_code == 0, result.output
    manifest = read_manifest(out)
    assert manifest["image"]["runtime"] == "engine"
    stated = {"kind": "resnet", "stages": [1, 2, 1, 1], "width": 4, "heads": 4, "fast": []}
    assert manifest["image"]["architecture"] == stated
    made, expected = (
        encode(noise(64))
        for encode in (bundle_image_encoder(out, manifest), float_image_encoder(load_source(str(folder))))
    )
    assert (made * expected).sum(axis=1).min() > 0.99999
    verified = run("verify", out, folder)
    assert verified.exit_code == 0, verified.output
    calibrated = run("export", folder, "--id", "x", "--out", tmp_path / "y", "--calibrate", tmp_path)
    assert calibrated.exit_code == 1
    assert "--calibrate is for Transformers: the products of a ResNet are all exact" in calibrated.output
    assert not (tmp_path / "y").exists()


def test_weights_for_another_image_size_are_refused(tmp_path: Path) -> None:
    """Its positions are as many as pixels are left: open_clip does not stretch them."""
    vision = {"image_size": 64, "layers": [1, 1, 1, 1], "width": 4, "head_width": 32}
    folder = save_open_clip(tmp_path / "checkpoint", {**PLAIN, "vision_cfg": vision})
    config = folder / "open_clip_config.json"
    stated = json.loads(config.read_text(encoding="utf-8"))
    stated["model_cfg"]["vision_cfg"]["image_size"] = 96
    config.write_text(json.dumps(stated), encoding="utf-8")
    result = run("export", folder, "--id", "x", "--out", tmp_path / "x")
    assert result.exit_code == 1
    assert "positional_embedding" in result.output
