"""Small models of open_clip with random weights, saved as open_clip saves them for the hub."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
from open_clip import CLIP, CustomTextCLIP, set_model_preprocess_cfg
from open_clip.push_to_hf_hub import save_config_for_hf
from safetensors.torch import save_file
from torch import nn

from . import random_timm  # noqa: F401, makes its models known
from .random_open_clip import CASES
from .random_weights import fill
from .settled_norms import settle_norms, soft_pictures

WEIGHTS = "open_clip_model.safetensors"

Config = dict[str, Any]

TEXT: Config = {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 2}
PLAIN: Config = {
    "embed_dim": 24,
    "vision_cfg": {"image_size": 32, "patch_size": 8, "width": 32, "head_width": 16, "layers": 2},
    "text_cfg": TEXT,
    "quick_gelu": True,
}
"""as OpenAI's"""
SIGLIP: Config = {
    "embed_dim": 32,
    "vision_cfg": next(case.image for case in CASES if case.name == "open-clip-siglip"),
    "text_cfg": {
        **TEXT,
        "context_length": 20,
        "width": 8,
        "heads": 1,
        "no_causal_mask": True,
        "proj_bias": True,
        "pool_type": "last",
        "norm_kwargs": {"eps": 1e-6},
        "act_kwargs": {"approximate": "tanh"},
    },
    "custom_text": True,
    "init_logit_bias": -10,
}
"""as SigLIP, but for CLIP's tokenizer"""
RESNET: Config = {
    "embed_dim": 24,
    "vision_cfg": {"image_size": 64, "layers": [1, 1, 2, 1], "width": 4, "head_width": 32},
    "text_cfg": TEXT,
}
"""as OpenAI's RN50"""
MOBILE: Config = {
    "embed_dim": 24,
    "vision_cfg": {"timm_model_name": "golden_fastvit", "timm_pool": "avg", "timm_proj": None, "image_size": 64},
    "text_cfg": {**TEXT, "context_length": 16, "no_causal_mask": True},
    "custom_text": True,
}
"""as MobileCLIP-S1: a convolutional image encoder, texts that see all of their padding"""
CONVNEXT: Config = {
    "embed_dim": 24,
    "vision_cfg": {"timm_model_name": "golden_convnext", "timm_pool": "", "timm_proj": "mlp", "image_size": 64},
    "text_cfg": TEXT,
}
"""as LAION's convnext_large_d"""
TIMM_RESNET: Config = {
    "embed_dim": 24,
    "vision_cfg": {"timm_model_name": "golden_resnet", "timm_pool": "avg", "timm_proj": "linear", "image_size": 64},
    "text_cfg": TEXT,
}

PREPARED: Config = {"mean": [0.48, 0.46, 0.41], "std": [0.27, 0.26, 0.28]}
SQUASHED: Config = {
    "mean": [0.5, 0.5, 0.5],
    "std": [0.5, 0.5, 0.5],
    "interpolation": "bilinear",
    "resize_mode": "squash",
}


def make_model(config: Config) -> CLIP | CustomTextCLIP:
    """With the weights that open_clip's training begins with."""
    options = copy.deepcopy(config)
    make = CustomTextCLIP if options.pop("custom_text", False) else CLIP
    return make(**options).eval()


def settle(model: CLIP | CustomTextCLIP, config: Config, random: np.random.Generator) -> CLIP | CustomTextCLIP:
    """The same model, the statistics of its batch norms, if it has any, those of soft pictures."""
    if any(isinstance(module, nn.BatchNorm2d) for module in model.modules()):
        settle_norms(model, model.encode_image, soft_pictures(config["vision_cfg"]["image_size"], random))
    return model


def random_model(config: Config) -> CLIP | CustomTextCLIP:
    """The same weights every time."""
    random = np.random.default_rng(0)
    return settle(fill(make_model(config), random), config, random)


def save_open_clip(folder: Path, config: Config = PLAIN, preprocess: Config = PREPARED) -> Path:
    """A `random_model` as `save_model` saves it."""
    return save_model(random_model(config), folder, config, preprocess)


def save_model(model: CLIP | CustomTextCLIP, folder: Path, config: Config, preprocess: Config) -> Path:
    """`open_clip_config.json` and the weights, as open_clip's `save_for_hf` writes them, without a tokenizer."""
    folder.mkdir(parents=True)
    set_model_preprocess_cfg(model, preprocess)
    save_config_for_hf(model, folder / "open_clip_config.json", config)
    save_file(model.state_dict(), folder / WEIGHTS)
    return folder
