"""Small models of open_clip with random weights: the options of its published ViTs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from open_clip import CLIP, CustomTextCLIP
from timm.models import register_model
from timm.models.vision_transformer import VisionTransformer

from ..engine import open_clip as engine_open_clip
from ..engine.architecture import sees_padding
from ..engine.weights import Tower
from .engine_model import CONTEXT, END, VOCABULARY, EngineModel, embed_padded
from .random_weights import fill

PAD = 0


@dataclass(frozen=True)
class Case:
    name: str
    why: str
    dim: int
    image: dict[str, Any]
    text: dict[str, Any]
    model: type[CLIP | CustomTextCLIP] = CLIP
    options: dict[str, Any] = field(default_factory=dict)
    pad_id: int = PAD
    end_of_text: int = END


def random_open_clip(case: Case, random: np.random.Generator) -> EngineModel:
    """A model of open_clip whose every parameter is drawn from `random`."""
    text = {"context_length": CONTEXT, "vocab_size": VOCABULARY, **case.text}
    model = fill(case.model(case.dim, vision_cfg=case.image, text_cfg=text, **case.options).eval(), random)
    architecture = engine_open_clip.text_architecture(model)
    return EngineModel(
        case.name,
        case.why,
        case.image["image_size"],
        Tower(engine_open_clip.image_tensors(model), engine_open_clip.image_architecture(model)),
        Tower(engine_open_clip.text_tensors(model), architecture),
        model.encode_image,
        embed_padded(model.encode_text, case.pad_id),
        end_of_text=case.end_of_text,
        pad_id=case.pad_id if sees_padding(architecture) else None,
    )


@register_model
def golden_siglip(num_classes: int, global_pool: str, **_: Any) -> VisionTransformer:
    """timm's `vit_base_patch16_siglip_224`, smaller; open_clip takes timm's models by their names only."""
    size = {"img_size": 12, "patch_size": 4, "embed_dim": 32, "depth": 2, "num_heads": 4, "mlp_ratio": 1.75}
    return VisionTransformer(**size, class_token=False, num_classes=num_classes, global_pool=global_pool)


@register_model
def golden_clip(num_classes: int, global_pool: str, **_: Any) -> VisionTransformer:
    """timm's `vit_large_patch14_clip_224`, smaller."""
    size = {"img_size": 12, "patch_size": 6, "embed_dim": 24, "depth": 1, "num_heads": 1, "mlp_ratio": 2}
    clip = {"pre_norm": True, "no_embed_class": True, "init_values": 1e-5}
    return VisionTransformer(**size, **clip, num_classes=num_classes, global_pool=global_pool)


def vit(width: int, layers: int, image_size: int, patch_size: int, **options: Any) -> dict[str, Any]:
    return {"width": width, "layers": layers, "image_size": image_size, "patch_size": patch_size, **options}


def resnet(width: int, layers: list[int], image_size: int, head_width: int) -> dict[str, Any]:
    return {"width": width, "layers": layers, "image_size": image_size, "head_width": head_width}


def text(width: int, heads: int, layers: int, **options: Any) -> dict[str, Any]:
    return {"width": width, "heads": heads, "layers": layers, **options}


CASES = [
    Case(
        "open-clip-layer-scale",
        "LayerScale in both encoders; exact GELU; an MLP that is no multiple of the width",
        24,
        vit(32, 2, 16, 4, head_width=8, mlp_ratio=2.26, ls_init_value=0.1),
        text(32, 2, 2, mlp_ratio=2.26, ls_init_value=0.1),
    ),
    Case(
        "open-clip-clipa",
        "no pre-norm, the mean of 4 patches beside a class token; padded texts pooled at the last token, no bias",
        40,
        vit(48, 1, 15, 7, head_width=24, mlp_ratio=1.5, no_ln_pre=True, pool_type="avg", final_ln_after_pool=True),
        text(40, 5, 1, mlp_ratio=1.4, pool_type="last", no_causal_mask=True),
    ),
    Case(
        "open-clip-eos",
        "an end of text below other ids; QuickGELU; a projection with a bias",
        16,
        vit(16, 1, 12, 6, head_width=16),
        text(24, 1, 2, pool_type="eos", eos_id=2, proj_bias=True),
        CustomTextCLIP,
        {"quick_gelu": True},
        end_of_text=2,
    ),
    Case(
        "open-clip-siglip",
        "SigLIP as open_clip has it, its image encoder timm's; GELU by tanh in texts only",
        32,
        {"timm_model_name": "golden_siglip", "timm_pool": "map", "timm_proj": "none", "image_size": 12},
        text(
            24,
            3,
            1,
            no_causal_mask=True,
            proj_bias=True,
            pool_type="last",
            norm_kwargs={"eps": 1e-6},
            act_kwargs={"approximate": "tanh"},
        ),
        CustomTextCLIP,
        pad_id=1,
    ),
    Case(
        "open-clip-mobile",
        "timm's CLIP, its class token without a position, LayerScale; padded texts pooled at the end of text",
        16,
        {"timm_model_name": "golden_clip", "timm_pool": "token", "timm_proj": None, "image_size": 12},
        text(16, 2, 2, no_causal_mask=True),
        CustomTextCLIP,
    ),
    Case(
        "open-clip-no-projection",
        "texts as wide as the embedding, without a projection",
        24,
        vit(24, 1, 16, 8, head_width=24),
        text(24, 3, 1, no_causal_mask=True, pool_type="last", proj_type="none"),
        CustomTextCLIP,
    ),
]

RESNET_CASES = [
    Case(
        "resnet",
        "CLIP's ResNet; sides that are odd where they are halved, 4 pixels in the end; several bottlenecks in a stage",
        24,
        resnet(4, [2, 1, 2, 1], 66, head_width=32),
        text(16, 2, 1),
    ),
    Case(
        "resnet-narrow",
        "a width that needs channels of zeros everywhere; one pixel in the end",
        16,
        resnet(2, [1, 2, 1, 1], 40, head_width=32),
        text(16, 2, 1),
    ),
]
