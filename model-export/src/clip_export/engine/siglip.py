"""Hugging Face's `SiglipModel` for the engine: SigLIP (Zhai et al. 2023) and SigLIP 2 at a fixed resolution.

An image has no class token: a learned probe attends to all patches, and an MLP follows. A text is padded to its
context's length, all of its tokens see all, the padding too, and the last one is pooled.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn
from transformers import SiglipModel

from .architecture import ArchitectureError, config_architecture, patch_size
from .weights import Tensors, array, layer_tensors, linear, norm, token_tensors


def image_architecture(model: SiglipModel) -> dict[str, Any]:
    """The manifest's `image.architecture`. Raises ArchitectureError for an encoder that the engine cannot run."""
    vision = model.config.vision_config
    if not vision.vision_use_head:
        raise ArchitectureError("image encoder: vision_use_head is false, there is no vector to embed an image with")
    transformer = config_architecture("image", vision, vision.hidden_size, projection=False)
    patch = patch_size(vision.image_size, vision.patch_size, vision.num_channels)
    return {**transformer, "patch": patch, "classToken": False, "preNorm": False, "pooling": "attention"}


def text_architecture(model: SiglipModel) -> dict[str, Any]:
    """The manifest's `text.architecture`. Raises ArchitectureError for an encoder that the engine cannot run."""
    text, width = model.config.text_config, model.config.vision_config.hidden_size
    if text.projection_size != width:
        raise ArchitectureError(f"texts are embedded in {text.projection_size} dimensions, images in {width}")
    return {**config_architecture("text", text, width), "causal": False, "pooling": "last"}


def image_tensors(model: SiglipModel) -> Tensors:
    """As engine_weights.image_tensors, without `class`, `pre_norm` and `projection`; with `pool` after `post_norm`."""
    tower = model.vision_model
    patches, head = tower.embeddings.patch_embedding, tower.head
    return {
        **linear("patch", array(patches.weight).reshape(len(patches.weight), -1), array(patches.bias)),
        "positions": array(tower.embeddings.position_embedding.weight),
        **layer_tensors(tower.encoder.layers),
        **norm("post_norm", tower.post_layernorm),
        **probe_tensors(
            head.probe, head.attention.in_proj_weight, head.attention.in_proj_bias, head.attention.num_heads
        ),
        **pool_tensors(head.attention.out_proj, head.layernorm, head.mlp),
    }


def text_tensors(model: SiglipModel) -> Tensors:
    """As engine_weights.text_tensors, `projection` with a bias."""
    tower = model.text_model
    return {
        **token_tensors(tower.embeddings.token_embedding),
        "positions": array(tower.embeddings.position_embedding.weight),
        **layer_tensors(tower.encoder.layers),
        **norm("post_norm", tower.final_layer_norm),
        **linear("projection", array(tower.head.weight), array(tower.head.bias)),
    }


def probe_tensors(probe: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, heads: int) -> Tensors:
    """`pool.query` F32 [D], what the probe [1, 1, D] asks, scaled by headDim^-0.5 as in every layer; `pool.kv`, a
    linear [2D <- D]. `weight` [3D, D] and `bias` [3D] are those of queries, keys and values.

    The probe is the same for all images, so its product is computed here, once, and its weights are not needed.
    """
    width = probe.shape[-1]
    query = array(weight[:width]).astype(np.float64) @ array(probe).reshape(width) + array(bias[:width])
    return {
        "pool.query": (query * (width // heads) ** -0.5).astype(np.float32),
        **linear("pool.kv", array(weight[width:]), array(bias[width:])),
    }


def pool_tensors(out: nn.Linear, layer_norm: nn.LayerNorm, mlp: nn.Module) -> Tensors:
    """`pool.`: `out` [D <- D], `norm`, `fc1` [MLP <- D], `fc2` [D <- MLP]."""
    return {
        **linear("pool.out", array(out.weight), array(out.bias)),
        **norm("pool.norm", layer_norm),
        **linear("pool.fc1", array(mlp.fc1.weight), array(mlp.fc1.bias)),
        **linear("pool.fc2", array(mlp.fc2.weight), array(mlp.fc2.bias)),
    }
