"""SigLIP's and open_clip's models for the engine: what is mapped, what is folded, and what is refused.

That the numbers are right is what the golden files show (test_engine_reference.py).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import timm
import torch
from open_clip import CLIP, CustomTextCLIP
from open_clip.transformer import QuickGELU
from torch import nn
from transformers import SiglipConfig, SiglipModel

from clip_export.engine import open_clip as engine_open_clip
from clip_export.engine import siglip as engine_siglip
from clip_export.engine.architecture import ArchitectureError, sees_padding
from clip_export.engine.layers import activation_of
from clip_export.engine.weights import Tensors
from clip_export.golden import random_open_clip
from clip_export.golden.random_weights import fill

SIZES = {"hidden_size": 24, "num_attention_heads": 3, "num_hidden_layers": 2, "intermediate_size": 40}
TEXT = {**SIZES, "vocab_size": 50, "bos_token_id": 1, "eos_token_id": 2, "max_position_embeddings": 9}
VISION = {**SIZES, "image_size": 20, "patch_size": 5}


def siglip(vision: dict[str, Any] | None = None, text: dict[str, Any] | None = None) -> SiglipModel:
    config = SiglipConfig(vision_config={**VISION, **(vision or {})}, text_config={**TEXT, **(text or {})})
    return fill(SiglipModel(config).eval(), np.random.default_rng(0))


def test_siglip_architectures_are_the_contract() -> None:
    sizes = {"layers": 2, "width": 24, "heads": 3, "mlp": 40, "activation": "gelu_tanh", "layerNormEps": 1e-6}
    model = siglip()
    image = {"projection": False, "patch": 5, "classToken": False, "preNorm": False, "pooling": "attention"}
    assert engine_siglip.image_architecture(model) == {**sizes, **image}
    text = engine_siglip.text_architecture(model)
    assert text == {**sizes, "projection": True, "causal": False, "pooling": "last"}
    assert sees_padding(text)


def test_siglip_names_and_shapes() -> None:
    image, text = engine_siglip.image_tensors(siglip()), engine_siglip.text_tensors(siglip())
    shapes = {name: values.shape for name, values in {**image, **text}.items()}
    assert shapes["patch.bias"] == (24,)
    assert shapes["pool.query"] == (24,)
    assert shapes["pool.kv.weight"] == (48, 24)
    assert shapes["pool.fc1.weight"] == (40, 24)
    assert shapes["projection.bias"] == (24,)
    assert not {"class", "pre_norm.weight", "projection.weight"} & set(image)


@torch.inference_mode()
def test_the_probe_is_asked_once_and_for_all() -> None:
    model = siglip()
    head = model.vision_model.head
    queries = head.probe[0, 0] @ head.attention.in_proj_weight[:24].T + head.attention.in_proj_bias[:24]
    made = engine_siglip.image_tensors(model)["pool.query"]
    np.testing.assert_allclose(made, queries.numpy() * 8**-0.5, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("vision", "text", "message"),
    [
        ({"vision_use_head": False}, {}, "image encoder: vision_use_head is false"),
        ({"hidden_act": "relu"}, {}, "image encoder: the activation 'relu' is none of"),
        ({"num_attention_heads": 6}, {}, "image encoder: the head width 4 is not a multiple of 8"),
        ({"image_size": 4}, {}, "image encoder: the patch 5 is larger than the image 4"),
        ({"num_channels": 1}, {}, "image encoder: 1 channels, the engine takes 3"),
        ({}, {"projection_size": 32}, "texts are embedded in 32 dimensions, images in 24"),
        ({}, {"intermediate_size": 44}, "text encoder: the MLP width 44 is not a multiple of 8"),
    ],
)
def test_what_of_siglip_the_engine_cannot_run(vision: dict[str, Any], text: dict[str, Any], message: str) -> None:
    model = siglip(vision, text)
    with pytest.raises(ArchitectureError, match=message):
        engine_siglip.image_architecture(model), engine_siglip.text_architecture(model)


def tiny(image: dict[str, Any] | None = None, text: dict[str, Any] | None = None, **options: Any) -> CustomTextCLIP:
    vision = {"width": 16, "head_width": 8, "layers": 2, "image_size": 12, "patch_size": 4, **(image or {})}
    texts = {"width": 16, "heads": 2, "layers": 2, "vocab_size": 50, "context_length": 9, **(text or {})}
    return fill(CustomTextCLIP(16, vision_cfg=vision, text_cfg=texts, **options).eval(), np.random.default_rng(0))


@pytest.mark.parametrize(
    ("image", "text", "message"),
    [
        ({"attentional_pool": True}, {}, "image encoder: attentional_pool with 256 queries"),
        ({"pool_type": "avg"}, {}, "pool_type 'avg' with final_ln_after_pool False, the engine has"),
        ({"pool_type": "none"}, {}, "pool_type 'none'"),
        ({"head_width": 4}, {}, "image encoder: the head width 4 is not a multiple of 8"),
        ({"mlp_ratio": 2.25}, {}, "image encoder: the MLP width 36 is not a multiple of 8"),
        ({"patch_size": 13}, {}, "image encoder: the patch 13 is larger than the image 12"),
        ({"image_size": (12, 8)}, {}, "image encoder: the image is 12 x 8, the engine takes squares"),
        ({"qk_norm": True}, {}, "image encoder: layer 0 is a CustomResidualAttentionBlock"),
        ({}, {"scale_fc": True}, "text encoder: layer 0 is a CustomResidualAttentionBlock"),
        ({}, {"pool_type": "first"}, "text encoder: pool_type 'first' is none of argmax, eos, last"),
        ({}, {"embed_cls": True}, "text encoder: embed_cls appends a token"),
        ({"timm_model_name": "resnet10t", "timm_pool": "avg"}, {}, "timm's ResNet, the engine runs VisionTransformer"),
    ],
)
def test_what_of_open_clip_the_engine_cannot_run(image: dict[str, Any], text: dict[str, Any], message: str) -> None:
    model = tiny(image, text)
    with pytest.raises(ArchitectureError, match=message):
        engine_open_clip.image_architecture(model), engine_open_clip.text_architecture(model)


def change_trunk(change: Callable[[nn.Module], None]) -> CustomTextCLIP:
    case = next(case for case in random_open_clip.CASES if case.name == "open-clip-siglip")
    model = tiny(case.image)
    change(model.visual.trunk)
    return model


def two_activations(trunk: nn.Module) -> None:
    trunk.attn_pool.mlp.act = nn.GELU(approximate="tanh")


def two_epsilons(trunk: nn.Module) -> None:
    trunk.attn_pool.norm.eps = 1e-5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda trunk: setattr(trunk, "num_reg_tokens", 4), "4 register tokens, the engine has 0"),
        (lambda trunk: setattr(trunk, "pos_embed", None), "there is no pos_embed"),
        (lambda trunk: setattr(trunk, "global_pool", "max"), "global_pool 'max' is none of token, avg, map"),
        (lambda trunk: setattr(trunk, "global_pool", "avg"), "the engine takes the mean of the patches alone"),
        (lambda trunk: setattr(trunk, "norm", nn.Identity()), "0 final layer norms, the engine has 1"),
        (lambda trunk: setattr(trunk, "head", nn.Sequential(nn.Linear(32, 32))), "the projection is Sequential"),
        (lambda trunk: setattr(trunk.attn_pool, "latent_len", 2), "attn_pool has 2 queries, the engine's has 1"),
        (lambda trunk: setattr(trunk.attn_pool, "num_heads", 2), "attn_pool has heads 2, the layers 4"),
        (lambda trunk: setattr(trunk.blocks[1].attn, "q_norm", nn.LayerNorm(8)), "attn.q_norm is a LayerNorm"),
        (two_activations, "layers differ in their activation: gelu, gelu_tanh"),
        (two_epsilons, "layer norms have the epsilons 1e-06 and 1e-05"),
    ],
)
def test_what_of_timm_the_engine_cannot_run(change: Callable[[nn.Module], None], message: str) -> None:
    with pytest.raises(ArchitectureError, match=message):
        engine_open_clip.image_architecture(change_trunk(change))


def weight_and_bias(tensors: Tensors, name: str) -> np.ndarray:
    """[N, inputs + 1]"""
    return np.hstack([tensors[f"{name}.weight"], tensors[f"{name}.bias"][:, None]])


@torch.inference_mode()
def test_layer_scale_is_folded() -> None:
    model = tiny({"ls_init_value": 0.1, "mlp_ratio": 2}, {})
    block = model.visual.transformer.resblocks[1]
    tensors = engine_open_clip.image_tensors(model)
    for name, module, scale in (
        ("out", block.attn.out_proj, block.ls_1),
        ("fc2", block.mlp.c_proj, block.ls_2),
    ):
        expected = torch.cat([module.weight, module.bias[:, None]], dim=1) * scale.gamma[:, None]
        made = weight_and_bias(tensors, f"layers.1.{name}")
        np.testing.assert_allclose(made, expected.numpy(), rtol=1e-6, atol=1e-7)


def test_activations_are_known_by_what_they_compute() -> None:
    assert activation_of("text", [nn.GELU(), timm.layers.GELU()]) == "gelu"
    assert activation_of("text", [nn.GELU(approximate="tanh"), timm.layers.GELUTanh()]) == "gelu_tanh"
    assert activation_of("text", [QuickGELU()]) == "quick_gelu"
    with pytest.raises(ArchitectureError, match="text encoder: the activation SiLU is none of quick_gelu, gelu"):
        activation_of("text", [nn.SiLU()])


CONFIGS = Path(open_clip.__file__).parent / "model_configs"


@pytest.mark.parametrize(
    ("name", "image", "text"),
    [
        ("ViT-B-32-quickgelu", ("cls", 768, 12, "quick_gelu"), ("first-eot", 512, 8, "quick_gelu")),
        ("ViT-g-14", ("cls", 1408, 16, "gelu"), ("first-eot", 1024, 16, "gelu")),
        ("ViT-M-16-alt", ("cls", 512, 8, "gelu"), ("first-eot", 384, 6, "gelu")),
        ("ViT-H-14-CLIPA", ("mean", 1280, 16, "gelu"), ("last", 1024, 16, "gelu")),
        ("ViT-L-14-worldwide", ("cls", 1024, 16, "gelu"), ("first-eot", 768, 12, "gelu")),
        ("ViT-SO400M-14-SigLIP-384", ("attention", 1152, 16, "gelu"), ("last", 1152, 16, "gelu")),
        ("ViT-B-16-SigLIP2-256", ("attention", 768, 12, "gelu"), ("last", 768, 12, "gelu_tanh")),
        ("MobileCLIP2-L-14", ("cls", 1024, 16, "gelu"), ("first-eot", 768, 12, "gelu")),
    ],
)
def test_published_models(name: str, image: tuple[Any, ...], text: tuple[Any, ...]) -> None:
    config = json.loads((CONFIGS / f"{name}.json").read_text(encoding="utf-8"))
    make = CustomTextCLIP if config.pop("custom_text", False) else CLIP
    with torch.device("meta"):  # no memory, no weights: their shapes are enough
        model = make(**config)
    for architecture, expected in (
        (engine_open_clip.image_architecture(model), image),
        (engine_open_clip.text_architecture(model), text),
    ):
        assert tuple(architecture[key] for key in ("pooling", "width", "heads", "activation")) == expected
