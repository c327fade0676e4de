"""A CLIPModel's weights by the names that the engine knows them by, in float32: what is then folded, rounded, packed.

A linear `X` with N outputs and K inputs is `X.weight` [N, K] and `X.bias` [N], absent where the layer has none. How it
lies in the engine's file is written down in engine/linear.py. Only the token table is int8 already: a text encoder
"in float" has the rounding of its token rows too, so calibration does not see it; `verify` does.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers import CLIPModel

from ..quantise import quantise_rows

Tensors = dict[str, np.ndarray]


@dataclass(frozen=True)
class Tower:
    """One encoder in float: its weights, and what the manifest says of it (engine/architecture.py)."""

    tensors: Tensors
    architecture: dict[str, Any]


def image_tensors(model: CLIPModel) -> Tensors:
    """The image encoder, in the order of its use. T = 1 + (size / patch)^2 tokens, the class first; D wide.

    `patch` linear (K = 3 * patch^2, ordered channel, y, x), `class` [D], `positions` [T, D], `pre_norm`, the layers,
    `post_norm`, `projection`.
    """
    tower = model.vision_model
    embeddings = tower.embeddings
    return {
        **linear("patch", array(embeddings.patch_embedding.weight).reshape(tower.config.hidden_size, -1)),
        "class": array(embeddings.class_embedding),
        "positions": array(embeddings.position_embedding.weight),
        **norm("pre_norm", tower.pre_layrnorm),
        **layer_tensors(tower.encoder.layers),
        **norm("post_norm", tower.post_layernorm),
        **linear("projection", array(model.visual_projection.weight)),
    }


def text_tensors(model: CLIPModel) -> Tensors:
    """The text encoder, in the order of its use. V tokens, context C, D wide.

    `tokens.weight` I8 [V, D] with `tokens.scale` F32 [V] (one for the whole table would be set by its few largest
    values), `positions` F32 [C, D], the layers, `post_norm`, `projection`.
    """
    tower = model.text_model
    return {
        **token_tensors(tower.embeddings.token_embedding),
        "positions": array(tower.embeddings.position_embedding.weight),
        **layer_tensors(tower.encoder.layers),
        **norm("post_norm", tower.final_layer_norm),
        **linear("projection", array(model.text_projection.weight)),
    }


def token_tensors(table: nn.Embedding) -> Tensors:
    """`tokens.weight` I8 [V, D] and `tokens.scale` F32 [V]."""
    values, scales = quantise_rows(array(table.weight))
    return {"tokens.weight": values, "tokens.scale": scales[:, 0]}


def layer_tensors(layers: Iterable[nn.Module]) -> Tensors:
    """`layers.{i}.`: `norm1`, `qkv` [3D <- D], `out` [D <- D], `norm2`, `fc1` [MLP <- D], `fc2` [D <- MLP].

    qkv's outputs are those of q, then k, then v; q's, bias too, are already multiplied by headDim^-0.5, so that the
    engine's scores are q k^T without a further factor.
    """
    return dict(chain.from_iterable(_layer(f"layers.{i}", layer).items() for i, layer in enumerate(layers)))


def _layer(name: str, layer: nn.Module) -> Tensors:
    attention = layer.self_attn
    factor = np.float32(attention.head_dim**-0.5)
    q, k, v = attention.q_proj, attention.k_proj, attention.v_proj
    weight = np.concatenate([array(q.weight) * factor, array(k.weight), array(v.weight)])  # [3D, D]
    bias = np.concatenate([array(q.bias) * factor, array(k.bias), array(v.bias)])
    return {
        **norm(f"{name}.norm1", layer.layer_norm1),
        **linear(f"{name}.qkv", weight, bias),
        **linear(f"{name}.out", array(attention.out_proj.weight), array(attention.out_proj.bias)),
        **norm(f"{name}.norm2", layer.layer_norm2),
        **linear(f"{name}.fc1", array(layer.mlp.fc1.weight), array(layer.mlp.fc1.bias)),
        **linear(f"{name}.fc2", array(layer.mlp.fc2.weight), array(layer.mlp.fc2.bias)),
    }


def linear(name: str, weight: np.ndarray, bias: np.ndarray | None = None) -> Tensors:
    """[N, K] float32 -> `name`.weight and, if there is one, .bias."""
    tensors = {f"{name}.weight": weight}
    return tensors if bias is None else {**tensors, f"{name}.bias": bias}


def norm(name: str, layer: nn.LayerNorm) -> Tensors:
    """`name`.weight and .bias, F32 [D]."""
    return {f"{name}.weight": array(layer.weight), f"{name}.bias": array(layer.bias)}


def array(parameter: torch.Tensor) -> np.ndarray:
    """A float32 copy of a parameter."""
    return parameter.detach().to(torch.float32).numpy().copy()
