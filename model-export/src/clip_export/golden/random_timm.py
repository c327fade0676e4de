"""Small models of timm's classes, which open_clip takes as image encoders by their names only."""

from __future__ import annotations

from functools import partial
from typing import Any

from timm.models import register_model
from timm.models.convnext import ConvNeXt
from timm.models.fastvit import FastVit, RepConditionalPosEnc
from timm.models.resnet import Bottleneck, ResNet


@register_model
def golden_fastvit(num_classes: int, global_pool: str, **_: Any) -> FastVit:
    """timm's `fastvit_mci0` (MobileCLIP-S), smaller: RepMixer with branches that are merged for inference, large
    kernels, squeeze-and-excitation, conditional positions, attention in the last stage."""
    return FastVit(
        layers=(1, 1, 1, 1),
        embed_dims=(8, 16, 32, 64),
        mlp_ratios=(3, 3, 3, 3),
        se_downsamples=(False, False, True, True),
        pos_embs=(None, None, None, partial(RepConditionalPosEnc, spatial_shape=(7, 7))),
        token_mixers=("repmixer", "repmixer", "repmixer", "attention"),
        lkc_use_act=True,
        num_classes=num_classes,
        global_pool=global_pool,
    )


@register_model
def golden_convnext(**_: Any) -> ConvNeXt:
    """timm's `convnext_base`, smaller."""
    return _with_config(ConvNeXt(depths=(1, 1, 2, 1), dims=(8, 16, 24, 32)))


@register_model
def golden_resnet(**_: Any) -> ResNet:
    """timm's `resnet50`, smaller."""
    return _with_config(ResNet(Bottleneck, (1, 1, 2, 1), channels=(4, 8, 8, 16)))


def _with_config(model: Any) -> Any:
    model.default_cfg = {"pool_size": (2, 2)}
    return model
