"""Small CLIPModels with random weights, and what is awkward about them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from transformers import CLIPConfig, CLIPModel

from ..engine.architecture import image_architecture, text_architecture
from ..engine.weights import Tower, image_tensors, text_tensors
from .engine_model import CONTEXT, END, START, VOCABULARY, EngineModel, embed_alone
from .random_weights import fill


@dataclass(frozen=True)
class Case:
    name: str
    why: str
    image: dict[str, Any]
    text: dict[str, Any]
    dim: int
    activation: str
    outliers: bool = False
    """two channels of every layer norm are 30 times as large: what 8-bit activations could not take"""
    fast: bool = False


def random_clip(case: Case, random: np.random.Generator) -> EngineModel:
    """A CLIPModel whose every parameter is drawn from `random`."""
    tokens = {"bos_token_id": START, "eos_token_id": END, "pad_token_id": 0, "vocab_size": VOCABULARY}
    common = {"hidden_act": case.activation, "projection_dim": case.dim}
    config = CLIPConfig(
        text_config={**case.text, **common, **tokens, "max_position_embeddings": CONTEXT},
        vision_config={**case.image, **common},
        projection_dim=case.dim,
    )
    model = fill(CLIPModel(config).eval(), random, case.outliers)
    return EngineModel(
        case.name,
        case.why,
        case.image["image_size"],
        Tower(image_tensors(model), image_architecture(config)),
        Tower(text_tensors(model), text_architecture(config)),
        lambda pixels: model.visual_projection(model.vision_model(pixel_values=pixels).pooler_output),
        embed_alone(lambda ids: model.text_projection(model.text_model(input_ids=ids).pooler_output)),
        fast=case.fast,
    )


def tower(width: int, heads: int, layers: int, mlp: int) -> dict[str, int]:
    return {
        "hidden_size": width,
        "num_attention_heads": heads,
        "num_hidden_layers": layers,
        "intermediate_size": mlp,
    }


CASES = [
    Case(
        "plain",
        "26 tokens, no multiple of 4; head width 16",
        {**tower(32, 2, 3, 64), "image_size": 20, "patch_size": 4},
        tower(32, 2, 2, 64),
        32,
        "quick_gelu",
    ),
    Case(
        "one-layer",
        "a single layer; head width 8; exact GELU; encoders of different widths",
        {**tower(64, 8, 1, 128), "image_size": 16, "patch_size": 8},
        tower(48, 6, 1, 96),
        40,
        "gelu",
    ),
    Case(
        "padded",
        "inputs of 147, 24 and 40, all padded; GELU by tanh; another epsilon",
        {**tower(24, 3, 2, 40), "image_size": 28, "patch_size": 7, "layer_norm_eps": 1e-6},
        {**tower(24, 3, 2, 40), "layer_norm_eps": 1e-6},
        8,
        "gelu_pytorch_tanh",
    ),
    Case(
        "outliers",
        "two tokens; one head; a few channels are far larger than the rest",
        {**tower(16, 1, 2, 32), "image_size": 8, "patch_size": 8},
        tower(16, 1, 2, 32),
        16,
        "quick_gelu",
        outliers=True,
    ),
]

FAST_CASES = [
    Case(
        "fast",
        "fast products with hidden widths that are no multiple of 128; 17 tokens, one row more than a multiple of 4",
        {**tower(48, 3, 2, 160), "image_size": 16, "patch_size": 4},
        tower(32, 4, 2, 144),
        24,
        "quick_gelu",
        fast=True,
    ),
    Case(
        "fast-gelu",
        "fast products of one group, exact GELU",
        {**tower(32, 2, 2, 48), "image_size": 12, "patch_size": 4},
        tower(32, 2, 2, 48),
        16,
        "gelu",
        fast=True,
    ),
]
