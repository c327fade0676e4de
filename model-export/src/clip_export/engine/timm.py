"""timm's `VisionTransformer` as an image encoder of open_clip: SigLIP and SigLIP 2 (`vit_*_siglip_*`), MobileCLIP2-L
(`vit_large_patch14_clip_224`) and what is built like them. No convolutional stem, no rotary positions.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from open_clip.timm_model import TimmModel
from timm.layers import Attention, AttentionPoolLatent, Mlp, PatchEmbed
from timm.models.vision_transformer import Block, VisionTransformer
from torch import nn

from . import layers as engine_layers
from .architecture import ArchitectureError, patch_size, transformer_architecture
from .layers import Layer, activation_of, attention, eps_of, scaled
from .siglip import pool_tensors, probe_tensors
from .weights import Tensors, array, layer_tensors, linear, norm

POOLINGS = {"token": "cls", "avg": "mean", "map": "attention"}
"""timm's `global_pool` -> the manifest's `pooling`"""


def image_architecture(visual: TimmModel) -> dict[str, Any]:
    """The manifest's `image.architecture`. Raises ArchitectureError for an encoder that the engine cannot run."""
    trunk = visual.trunk
    if type(trunk) is not VisionTransformer:
        raise ArchitectureError(f"image encoder: timm's {type(trunk).__name__}, the engine runs VisionTransformer")
    _check_embedding(trunk)
    for i, block in enumerate(trunk.blocks):
        _check_block(f"layer {i}", block)
    _check_pooling(trunk)
    projection, block = _projection(visual), trunk.blocks[0]
    mlps = [block.mlp for block in trunk.blocks] + ([trunk.attn_pool.mlp] if trunk.attn_pool else [])
    transformer = transformer_architecture(
        "image",
        layers=len(trunk.blocks),
        width=trunk.embed_dim,
        heads=block.attn.num_heads,
        mlp=block.mlp.fc1.out_features,
        activation=activation_of("image", (mlp.act for mlp in mlps)),
        eps=eps_of("image", [trunk]),
        embedding_dim=projection.out_features if projection else None,
    )
    return {
        **transformer,
        "patch": patch_size(trunk.patch_embed.img_size, trunk.patch_embed.patch_size, trunk.in_chans),
        "classToken": trunk.cls_token is not None,
        "preNorm": isinstance(trunk.norm_pre, nn.LayerNorm),
        "pooling": POOLINGS[trunk.global_pool],
    }


def image_tensors(visual: TimmModel) -> Tensors:
    """As engine_weights.image_tensors, by the architecture; `pool` as in engine/siglip.py."""
    trunk, projection = visual.trunk, _projection(visual)
    patches = trunk.patch_embed.proj
    return {
        **linear("patch", array(patches.weight).reshape(patches.out_channels, -1), _bias(patches)),
        **({} if trunk.cls_token is None else {"class": array(trunk.cls_token).reshape(-1)}),
        "positions": _positions(trunk),
        **({} if isinstance(trunk.norm_pre, nn.Identity) else norm("pre_norm", trunk.norm_pre)),
        **layer_tensors(_layer(block) for block in trunk.blocks),
        **norm("post_norm", trunk.fc_norm if isinstance(trunk.norm, nn.Identity) else trunk.norm),
        **(_pool(trunk.attn_pool) if trunk.attn_pool else {}),
        **(linear("projection", array(projection.weight), _bias(projection)) if projection else {}),
    }


def _layer(block: Block) -> Layer:
    attn, mlp = block.attn, block.mlp
    return Layer(
        block.norm1,
        attention(attn.qkv.weight, attn.qkv.bias, scaled(attn.proj, block.ls1), attn.num_heads),
        block.norm2,
        engine_layers.Mlp(scaled(mlp.fc1, nn.Identity()), scaled(mlp.fc2, block.ls2)),
    )


def _pool(pool: AttentionPoolLatent) -> Tensors:
    weight = torch.cat([pool.q.weight, pool.kv.weight])
    bias = torch.cat([pool.q.bias, pool.kv.bias])
    return {
        **probe_tensors(pool.latent, weight, bias, pool.num_heads),
        **pool_tensors(pool.proj, pool.norm, pool.mlp),
    }


def _positions(trunk: VisionTransformer) -> np.ndarray:
    """[tokens, D]; where the class token has no position, zeros."""
    positions = array(trunk.pos_embed)[0]
    bare = trunk.cls_token is not None and trunk.no_embed_class
    return np.pad(positions, ((int(bare), 0), (0, 0)))


def _projection(visual: TimmModel) -> nn.Linear | None:
    """timm's classifier, or a linear that open_clip put behind it."""
    found = [module for module in [visual.trunk.head, *visual.head] if not isinstance(module, nn.Identity | nn.Dropout)]
    if any(not isinstance(module, nn.Linear) for module in found) or len(found) > 1:
        kinds = ", ".join(type(module).__name__ for module in found)
        raise ArchitectureError(f"image encoder: the projection is {kinds}, the engine has one Linear")
    return found[0] if found else None


def _bias(module: nn.Linear | nn.Conv2d) -> np.ndarray | None:
    return None if module.bias is None else array(module.bias)


def _check_embedding(trunk: VisionTransformer) -> None:
    _need("patch_embed", trunk.patch_embed, PatchEmbed)
    _need("patch_embed.norm", trunk.patch_embed.norm, nn.Identity)
    _need("norm_pre", trunk.norm_pre, nn.Identity, nn.LayerNorm)
    if trunk.num_reg_tokens:
        raise ArchitectureError(f"image encoder: {trunk.num_reg_tokens} register tokens, the engine has 0")
    if trunk.pos_embed is None:
        raise ArchitectureError("image encoder: there is no pos_embed")
    if trunk.patch_embed.dynamic_img_pad:
        raise ArchitectureError("image encoder: patch_embed pads images, which the engine does not")


def _check_block(name: str, block: nn.Module) -> None:
    _need(name, block, Block)
    _need(f"{name}.attn", block.attn, Attention)
    _need(f"{name}.mlp", block.mlp, Mlp)
    _need(f"{name}.mlp.norm", block.mlp.norm, nn.Identity)
    for inner in ("q_norm", "k_norm", "norm"):
        _need(f"{name}.attn.{inner}", getattr(block.attn, inner), nn.Identity)
    if getattr(block.attn, "gate", None) is not None:
        raise ArchitectureError(f"image encoder: {name}.attn has a gate, the engine's attention has none")


def _check_pooling(trunk: VisionTransformer) -> None:
    if trunk.global_pool not in POOLINGS:
        known = ", ".join(POOLINGS)
        raise ArchitectureError(f"image encoder: global_pool {trunk.global_pool!r} is none of {known}")
    norms = sum(isinstance(module, nn.LayerNorm) for module in (trunk.norm, trunk.fc_norm))
    if norms != 1:
        raise ArchitectureError(f"image encoder: {norms} final layer norms, the engine has 1")
    after = isinstance(trunk.fc_norm, nn.LayerNorm)
    if trunk.global_pool == "avg" and (not after or trunk.pool_include_prefix):
        raise ArchitectureError("image encoder: the engine takes the mean of the patches alone, then the layer norm")
    if trunk.global_pool == "map":
        _check_attention_pool(trunk, after)


def _check_attention_pool(trunk: VisionTransformer, norm_after: bool) -> None:
    pool, tokens = trunk.attn_pool, trunk.num_prefix_tokens
    _need("attn_pool", pool, AttentionPoolLatent)
    if norm_after:
        raise ArchitectureError("image encoder: the layer norm is behind attn_pool, the engine has it before")
    if tokens and not trunk.pool_include_prefix:
        raise ArchitectureError(f"image encoder: attn_pool leaves out {tokens} tokens, the engine's sees all")
    if pool.latent_len != 1:
        raise ArchitectureError(f"image encoder: attn_pool has {pool.latent_len} queries, the engine's has 1")
    if pool.pos_embed is not None:
        raise ArchitectureError("image encoder: attn_pool has positions of its own, the engine's has none")
    for name, kind in {"q": nn.Linear, "q_norm": nn.Identity, "k_norm": nn.Identity, "norm": nn.LayerNorm}.items():
        _need(f"attn_pool.{name}", getattr(pool, name), kind)
    for what, found, needed in (
        ("heads", pool.num_heads, trunk.blocks[0].attn.num_heads),
        ("an MLP of width", pool.mlp.fc1.out_features, trunk.blocks[0].mlp.fc1.out_features),
    ):
        if found != needed:
            raise ArchitectureError(f"image encoder: attn_pool has {what} {found}, the layers {needed}")


def _need(name: str, module: nn.Module, *kinds: type[nn.Module]) -> None:
    if not isinstance(module, kinds):
        known = " or ".join(kind.__name__ for kind in kinds)
        raise ArchitectureError(f"image encoder: {name} is a {type(module).__name__}, the engine has {known}")
