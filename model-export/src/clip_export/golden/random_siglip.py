"""Small SiglipModels with random weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from transformers import SiglipConfig, SiglipModel

from ..engine import siglip
from ..engine.weights import Tower
from .engine_model import CONTEXT, END, START, VOCABULARY, EngineModel, embed_padded
from .random_clip import tower
from .random_weights import fill

PAD = 1
"""the tokenizer's of SigLIP"""


@dataclass(frozen=True)
class Case:
    name: str
    why: str
    image: dict[str, Any]
    text: dict[str, Any]
    fast: bool = False


def random_siglip(case: Case, random: np.random.Generator) -> EngineModel:
    """A SiglipModel whose every parameter is drawn from `random`; texts are embedded as wide as images are."""
    tokens = {"vocab_size": VOCABULARY, "bos_token_id": START, "eos_token_id": END}
    sizes = {"max_position_embeddings": CONTEXT, "projection_size": case.image["hidden_size"]}
    config = SiglipConfig(vision_config=case.image, text_config={**case.text, **tokens, **sizes})
    model = fill(SiglipModel(config).eval(), random)
    return EngineModel(
        case.name,
        case.why,
        case.image["image_size"],
        Tower(siglip.image_tensors(model), siglip.image_architecture(model)),
        Tower(siglip.text_tensors(model), siglip.text_architecture(model)),
        lambda pixels: model.vision_model(pixel_values=pixels).pooler_output,
        embed_padded(lambda ids: model.text_model(input_ids=ids).pooler_output, PAD),
        pad_id=PAD,
        fast=case.fast,
    )


CASES = [
    Case(
        "siglip",
        "attention pooling over 16 tokens, no class token, no projection; padded texts; head width 8",
        {**tower(24, 3, 2, 40), "image_size": 20, "patch_size": 5},
        tower(24, 3, 2, 40),
    ),
    Case(
        "siglip-one-layer",
        "9 patches that leave two pixels over; a single layer; head width 24; encoders of different widths",
        {**tower(24, 1, 1, 56), "image_size": 23, "patch_size": 7},
        tower(16, 2, 1, 24),
    ),
]

FAST_CASES = [
    Case(
        "siglip-fast",
        "fast products in the blocks, GELU by tanh, exact ones in the head",
        {**tower(32, 2, 2, 64), "image_size": 20, "patch_size": 5},
        tower(32, 4, 1, 48),
        fast=True,
    ),
]
