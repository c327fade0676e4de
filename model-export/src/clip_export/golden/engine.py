"""Golden files for the engine: small random CLIPs in its own format, and what PyTorch in float32 makes of inputs.

Every matrix is int8 times a power of two, with a 127 in every row, so that quantising gives it back exactly. Nothing
but the rounding of activations (and the engine's exp and GELU) then separates the engine from PyTorch, and cosines of
0.99999 and more may be asked for: of engine_reference.py, which rounds activations only, 1 - cosine is below 2e-7.
Inputs include rows of zeros, outliers, and a text that goes on after its end.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers import CLIPModel

from ..engine_architecture import image_architecture, text_architecture
from ..engine_weights import Tensors, image_tensors, text_tensors
from .random_clip import CONTEXT, END, VOCABULARY, Case, random_ids, random_model, random_pixels


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


@dataclass(frozen=True)
class EngineGolden:
    """One model: its weights as the engine reads them, inputs and outputs, and its entry in `engine.json`."""

    image: Tensors
    text: Tensors
    tensors: dict[str, np.ndarray]
    """`<case>/pixels` [n, 3, size, size], `<case>/images` [n, dim], `<case>/texts` [m, dim]; m texts are in `entry`"""
    entry: dict[str, Any]


def golden_engine() -> Iterator[EngineGolden]:
    """The same models and inputs every time."""
    for seed, case in enumerate(CASES):
        random = np.random.default_rng(seed)
        model = random_model(case, random)
        pixels, ids = random_pixels(case, random), random_ids(random)
        outputs = {"pixels": pixels, "images": embed_images(model, pixels), "texts": embed_texts(model, ids)}
        tensors = {f"{case.name}/{name}": values for name, values in outputs.items()}
        yield EngineGolden(image_tensors(model), text_tensors(model), tensors, describe(case, model, ids))


def describe(case: Case, model: CLIPModel, ids: list[list[int]]) -> dict[str, Any]:
    """A case in `engine.json`: the facts that a manifest would have, and the texts' token ids."""
    image = {"size": case.image["image_size"], "architecture": image_architecture(model.config)}
    text = {
        "contextLength": CONTEXT,
        "vocabularySize": VOCABULARY,
        "endOfText": END,
        "architecture": text_architecture(model.config),
    }
    return {
        "name": case.name,
        "why": case.why,
        "embeddingDim": case.dim,
        "image": {**image, "file": f"engine-{case.name}-image.safetensors"},
        "text": {**text, "file": f"engine-{case.name}-text.safetensors"},
        "ids": ids,
    }


@torch.inference_mode()
def embed_images(model: CLIPModel, pixels: np.ndarray) -> np.ndarray:
    """float32 [n, dim], unit rows, by Hugging Face's own forward."""
    pooled = model.vision_model(pixel_values=torch.from_numpy(pixels)).pooler_output
    return nn.functional.normalize(model.visual_projection(pooled), dim=-1).numpy()


@torch.inference_mode()
def embed_texts(model: CLIPModel, texts: list[list[int]]) -> np.ndarray:
    """float32 [n, dim], unit rows, each text alone and at its own length."""
    pooled = torch.cat([model.text_model(input_ids=torch.tensor([ids])).pooler_output for ids in texts])
    return nn.functional.normalize(model.text_projection(pooled), dim=-1).numpy()
