"""Small CLIPModels with random weights that int8 holds exactly, and awkward inputs for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers import CLIPConfig, CLIPModel

VOCABULARY, START, END = 104, 102, 103
CONTEXT = 16
LENGTHS = (3, 4, 5, 16)


@dataclass(frozen=True)
class Case:
    """A model and what is awkward about it."""

    name: str
    why: str
    image: dict[str, Any]
    text: dict[str, Any]
    dim: int
    activation: str
    outliers: bool = False
    """two channels of every layer norm are 30 times as large: what 8-bit activations could not take"""


def random_model(case: Case, random: np.random.Generator) -> CLIPModel:
    """A CLIPModel whose every parameter is drawn from `random`."""
    tokens = {"bos_token_id": START, "eos_token_id": END, "pad_token_id": 0, "vocab_size": VOCABULARY}
    common = {"hidden_act": case.activation, "projection_dim": case.dim}
    config = CLIPConfig(
        text_config={**case.text, **common, **tokens, "max_position_embeddings": CONTEXT},
        vision_config={**case.image, **common},
        projection_dim=case.dim,
    )
    model = CLIPModel(config).eval()
    with torch.no_grad():
        for name, module in model.named_modules():
            if isinstance(module, nn.LayerNorm):
                fill_norm(module, case.outliers, random)
            elif isinstance(module, nn.Linear | nn.Conv2d):
                fill_linear(module, random)
            elif isinstance(module, nn.Embedding):
                table = "token" in name
                rows = exact(module.weight.shape, 1 / 128, random) if table else random.normal(size=module.weight.shape)
                module.weight.copy_(torch.from_numpy(rows))
        size = model.vision_model.embeddings.class_embedding.shape
        model.vision_model.embeddings.class_embedding.copy_(torch.from_numpy(random.normal(size=size)))
    return model


def fill_norm(norm: nn.LayerNorm, outliers: bool, random: np.random.Generator) -> None:
    width = len(norm.weight)
    norm.weight.copy_(torch.from_numpy(1 + 0.2 * random.normal(size=width)))
    norm.bias.copy_(torch.from_numpy(0.2 * random.normal(size=width)))
    if outliers:
        norm.weight[random.choice(width, 2, replace=False)] *= 30


def fill_linear(linear: nn.Linear | nn.Conv2d, random: np.random.Generator) -> None:
    shape = linear.weight.shape
    inputs = linear.weight[0].numel()
    scale = 2.0 ** round(np.log2(1.3 / (73 * inputs**0.5)))  # outputs of about the size of the inputs
    linear.weight.copy_(torch.from_numpy(exact((shape[0], inputs), scale, random)).reshape(shape))
    if linear.bias is not None:
        linear.bias.copy_(torch.from_numpy(0.2 * random.normal(size=len(linear.bias))))


def exact(shape: tuple[int, ...], scale: float, random: np.random.Generator) -> np.ndarray:
    """[rows, columns]: whole numbers of -127..127 times `scale`, with a 127 or -127 in every row."""
    values = random.integers(-127, 128, shape)
    rows = np.arange(shape[0])
    values[rows, random.integers(0, shape[1], shape[0])] = 127 * random.choice([-1, 1], shape[0])
    return (values * scale).astype(np.float32)


def random_pixels(case: Case, random: np.random.Generator) -> np.ndarray:
    """float32 [4, 3, size, size]: noise, black, zeros (rows that have no scale), and one bright pixel."""
    size = case.image["image_size"]
    pixels = random.normal(size=(4, 3, size, size)).astype(np.float32)
    pixels[1], pixels[2], pixels[3] = -1.8, 0, -1.8
    pixels[3, :, size // 2, size // 3] = 2.1
    return pixels


def random_ids(random: np.random.Generator) -> list[list[int]]:
    """Texts of LENGTHS with start and end, one more that goes on after its end, and one of two tokens."""
    words = [[int(word) for word in random.integers(1, START, length - 2)] for length in LENGTHS]
    texts = [[START, *inner, END] for inner in words]
    return [*texts, [*texts[2], 7, END, 0], [START, END]]
