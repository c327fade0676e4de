"""timm's image encoders as open_clip's models have them, smaller: open_clip takes them by their names only."""

from __future__ import annotations

from typing import Any

from timm.models import register_model
from timm.models.vision_transformer import VisionTransformer

from ..golden import random_timm  # registers golden_fastvit and golden_convnext

__all__ = ["SIZE", "WIDTH", "random_timm", "vision"]

SIZE, WIDTH = 64, 96
VIT = {"img_size": SIZE, "patch_size": 16, "embed_dim": WIDTH, "depth": 3, "num_heads": 3}


@register_model
def family_vit_clip(num_classes: int, global_pool: str, **_: Any) -> VisionTransformer:
    """timm's `vit_large_patch14_clip_224`."""
    clip = {"pre_norm": True, "no_embed_class": True, "init_values": 1e-5}
    return VisionTransformer(**VIT, **clip, num_classes=num_classes, global_pool=global_pool)


@register_model
def family_vit_siglip(num_classes: int, global_pool: str, **_: Any) -> VisionTransformer:
    """timm's `vit_base_patch16_siglip_224`."""
    return VisionTransformer(**VIT, class_token=False, num_classes=num_classes, global_pool=global_pool)


def vision(name: str, pool: str, proj: str | None) -> dict[str, Any]:
    """open_clip's `vision_cfg`."""
    return {"timm_model_name": name, "timm_pool": pool, "timm_proj": proj, "image_size": SIZE}
