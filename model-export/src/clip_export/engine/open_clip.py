"""open_clip's models for the engine: `CLIP` and `CustomTextCLIP` with a ViT, its own or timm's, or CLIP's ResNet
(engine/resnet.py), and its own text Transformer.

Of open_clip's options these are what published ViTs use (its model_configs): any activation, no pre-norm, LayerScale,
the mean of the patches (CLIPA), texts that are bidirectional or pooled at the last token or at an end of text that is
not the highest id, a projection with a bias or none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from open_clip import CLIP, CustomTextCLIP
from open_clip.modified_resnet import ModifiedResNet
from open_clip.timm_model import TimmModel
from open_clip.transformer import ResidualAttentionBlock, TextTransformer, Transformer, VisionTransformer
from torch import nn

from . import resnet as engine_resnet
from . import timm as engine_timm
from .architecture import ArchitectureError, patch_size, transformer_architecture
from .layers import Layer, Mlp, activation_of, attention, eps_of, scaled
from .weights import Tensors, array, layer_tensors, linear, norm, token_tensors

OpenClip = CLIP | CustomTextCLIP

TEXT_POOLINGS = {
    "argmax": "first-eot",  # the highest id: CLIP's tokenizer has the end of text there
    "eos": "first-eot",  # `eos_id`
    "last": "last",
}
"""open_clip's `pool_type` -> the manifest's `pooling`"""


def image_architecture(model: OpenClip) -> dict[str, Any]:
    """The manifest's `image.architecture`. Raises ArchitectureError for an encoder that the engine cannot run."""
    visual = model.visual
    if isinstance(visual, TimmModel):
        return engine_timm.image_architecture(visual)
    if isinstance(visual, ModifiedResNet):
        return engine_resnet.image_architecture(visual)
    if not isinstance(visual, VisionTransformer):
        kind = type(visual).__name__
        raise ArchitectureError(f"image encoder: {kind}, the engine runs VisionTransformer and ModifiedResNet")
    if visual.attn_pool is not None:
        queries = len(visual.attn_pool.query)
        raise ArchitectureError(f"image encoder: attentional_pool with {queries} queries, the engine has none")
    dim = visual.proj.shape[1] if visual.proj is not None else None
    transformer = _transformer("image", visual.transformer, [visual], dim)
    patch = patch_size(visual.image_size, visual.patch_size, visual.conv1.in_channels)
    pre_norm = isinstance(visual.ln_pre, nn.LayerNorm)
    return {**transformer, "patch": patch, "classToken": True, "preNorm": pre_norm, "pooling": _image_pooling(visual)}


def _image_pooling(visual: VisionTransformer) -> str:
    if visual.pool_type == "tok":
        return "cls"
    if visual.pool_type == "avg" and visual.final_ln_after_pool:
        return "mean"
    last = f"with final_ln_after_pool {visual.final_ln_after_pool}"
    raise ArchitectureError(
        f"image encoder: pool_type {visual.pool_type!r} {last}, the engine has tok, or avg with True"
    )


def image_tensors(model: OpenClip) -> Tensors:
    """As engine_weights.image_tensors, by the architecture."""
    visual = model.visual
    if isinstance(visual, TimmModel):
        return engine_timm.image_tensors(visual)
    if isinstance(visual, ModifiedResNet):
        return engine_resnet.image_tensors(visual)
    return {
        **linear("patch", array(visual.conv1.weight).reshape(visual.conv1.out_channels, -1)),
        "class": array(visual.class_embedding),
        "positions": array(visual.positional_embedding),
        **({} if isinstance(visual.ln_pre, nn.Identity) else norm("pre_norm", visual.ln_pre)),
        **layer_tensors(layers(visual.transformer)),
        **norm("post_norm", visual.ln_post),
        **_projection(visual.proj),
    }


@dataclass(frozen=True)
class TextTower:
    """The text encoder, wherever the model has it."""

    transformer: Transformer
    token_embedding: nn.Embedding
    positional_embedding: torch.Tensor
    """[context, width]"""
    ln_final: nn.LayerNorm
    text_projection: nn.Linear | torch.Tensor | None
    """a linear, or [width, dim]"""
    causal: bool
    pool_type: str


def text_tower(model: OpenClip) -> TextTower:
    """Raises ArchitectureError for a text encoder that the engine cannot run."""
    text = model if isinstance(model, CLIP) else model.text
    if not isinstance(text, CLIP | TextTransformer):
        raise ArchitectureError(f"text encoder: {type(text).__name__}, the engine runs TextTransformer")
    if getattr(text, "cls_emb", None) is not None:
        raise ArchitectureError("text encoder: embed_cls appends a token of its own, which the engine does not have")
    if getattr(text, "use_pad_mask", False):
        raise ArchitectureError("text encoder: use_pad_mask hides the padding, which the engine cannot")
    return TextTower(
        text.transformer,
        text.token_embedding,
        text.positional_embedding,
        text.ln_final,
        text.text_projection,
        text.attn_mask is not None,
        text.text_pool_type if isinstance(text, CLIP) else text.pool_type,
    )


def text_architecture(model: OpenClip) -> dict[str, Any]:
    """The manifest's `text.architecture`. Raises ArchitectureError for an encoder that the engine cannot run."""
    text = text_tower(model)
    if text.pool_type not in TEXT_POOLINGS:
        known = ", ".join(TEXT_POOLINGS)
        raise ArchitectureError(f"text encoder: pool_type {text.pool_type!r} is none of {known}")
    projection = text.text_projection
    if projection is None:
        dim = None
    else:
        dim = projection.out_features if isinstance(projection, nn.Linear) else projection.shape[1]
    transformer = _transformer("text", text.transformer, [text.transformer, text.ln_final], dim)
    return {**transformer, "causal": text.causal, "pooling": TEXT_POOLINGS[text.pool_type]}


def text_tensors(model: OpenClip) -> Tensors:
    """As engine_weights.text_tensors, by the architecture."""
    text = text_tower(model)
    return {
        **token_tensors(text.token_embedding),
        "positions": array(text.positional_embedding),
        **layer_tensors(layers(text.transformer)),
        **norm("post_norm", text.ln_final),
        **_projection(text.text_projection),
    }


def _projection(projection: nn.Linear | torch.Tensor | None) -> Tensors:
    if projection is None:
        return {}
    if isinstance(projection, nn.Linear):
        return linear(
            "projection", array(projection.weight), None if projection.bias is None else array(projection.bias)
        )
    return linear("projection", array(projection.T))


def _transformer(name: str, transformer: Transformer, normed: list[nn.Module], dim: int | None) -> dict[str, Any]:
    blocks = transformer.resblocks
    for i, block in enumerate(blocks):
        if type(block) is not ResidualAttentionBlock or hasattr(block, "ln_1_kv"):
            kind = type(block).__name__
            raise ArchitectureError(f"{name} encoder: layer {i} is a {kind}, the engine has ResidualAttentionBlock")
    return transformer_architecture(
        name,
        layers=len(blocks),
        width=transformer.width,
        heads=blocks[0].attn.num_heads,
        mlp=blocks[0].mlp.c_fc.out_features,
        activation=activation_of(name, (block.mlp.gelu for block in blocks)),
        eps=eps_of(name, normed),
        embedding_dim=dim,
    )


def layers(transformer: Transformer) -> list[Layer]:
    """LayerScale is in `out_proj` and `fc2`."""
    return [_layer(block) for block in transformer.resblocks]


def _layer(block: ResidualAttentionBlock) -> Layer:
    attn, mlp = block.attn, block.mlp
    return Layer(
        block.ln_1,
        attention(attn.in_proj_weight, attn.in_proj_bias, scaled(attn.out_proj, block.ls_1), attn.num_heads),
        block.ln_2,
        Mlp(mlp.c_fc, scaled(mlp.c_proj, block.ls_2)),
    )
