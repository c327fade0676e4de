"""open_clip's families: small models of its own configurations, saved as it saves them for the hub."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from open_clip import create_model, get_tokenizer
from open_clip.transform import PreprocessCfg, image_transform_v2

from ..golden.saved_open_clip import make_model, save_model, settle
from ..golden.small_tokenizers import UNIGRAM_SIZE, save_t5
from .family import Family, Reference
from .random_weights import draw
from .timm_models import WIDTH, vision

Config = dict[str, Any]

TEXT: Config = {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 4, "layers": 3}
VIT: Config = {"image_size": 64, "patch_size": 16, "width": 96, "head_width": 32, "layers": 3}
CLIPS: Config = {"mean": [0.48145466, 0.4578275, 0.40821073], "std": [0.26862954, 0.26130258, 0.27577711]}
HALF: Config = {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5], "resize_mode": "squash"}
UNIT: Config = {"mean": [0, 0, 0], "std": [1, 1, 1], "interpolation": "bilinear"}
RESNETS_LEAST = 0.997
"""Of 32 convolutions whose random weights are rounded to int8 one after the other: the rounding alone costs
as much in PyTorch (test_families.py)."""


@dataclass(frozen=True)
class OpenClip:
    """A model of open_clip's and how its pictures are prepared."""

    model: Config
    preprocess: Config
    save_tokenizer: Callable[[Path], Path] | None
    """None: CLIP's own"""

    def save(self, folder: Path) -> None:
        model = settle(draw(make_model(self.model), seed=1), self.model, np.random.default_rng(1))
        save_model(model, folder, self.model, self.preprocess)
        if self.save_tokenizer:
            self.save_tokenizer(folder)


def load(folder: Path) -> Reference:
    name = f"local-dir:{folder}"
    model, tokenizer = create_model(name).eval(), get_tokenizer(name)
    transform = image_transform_v2(PreprocessCfg(**model.visual.preprocess_cfg), is_train=False)

    @torch.inference_mode()
    def images(pixels: np.ndarray) -> np.ndarray:
        return model.encode_image(torch.from_numpy(pixels), normalize=True).numpy()

    @torch.inference_mode()
    def texts(ids: np.ndarray) -> np.ndarray:
        return model.encode_text(torch.from_numpy(ids).long(), normalize=True).numpy()

    return Reference(lambda photo: transform(photo).numpy(), lambda lines: tokenizer(lines).numpy(), images, texts)


def family(
    id: str,
    name: str,
    published: str,
    model: Config,
    preprocess: Config = CLIPS,
    save_tokenizer: Callable[[Path], Path] | None = None,
    **options: Any,
) -> Family:
    made = OpenClip({"embed_dim": 64, "text_cfg": TEXT, **model}, preprocess, save_tokenizer)
    return Family(id, name, published, made.save, load, **options)


FAMILIES = [
    family("openai-vit", "OpenAI's ViT", "open_clip:ViT-B-32/openai", {"vision_cfg": VIT, "quick_gelu": True}),
    family("open-clip-vit", "OpenCLIP's ViT", "open_clip:ViT-B-32/laion2b_s34b_b79k", {"vision_cfg": VIT}),
    family(
        "resnet",
        "CLIP's modified ResNet",
        "open_clip:RN50/openai",
        {"vision_cfg": {"image_size": 64, "layers": [2, 2, 2, 2], "width": 32, "head_width": 32}, "quick_gelu": True},
        least=RESNETS_LEAST,
    ),
    family(
        "clipa",
        "CLIPA's ViT, with CLIP's tokenizer",
        "open_clip:ViT-L-14-CLIPA/datacomp1b",
        {
            "vision_cfg": {**VIT, "no_ln_pre": True, "pool_type": "avg", "final_ln_after_pool": True},
            "text_cfg": {**TEXT, "context_length": 32, "pool_type": "last", "no_causal_mask": True},
        },
        {**CLIPS, "resize_mode": "squash"},
    ),
    family(
        "mobileclip-b",
        "MobileCLIP2-L",
        "open_clip:MobileCLIP2-L-14/dfndr2b",
        {
            "vision_cfg": vision("family_vit_clip", pool="token", proj=None),
            "text_cfg": {**TEXT, "no_causal_mask": True},
            "custom_text": True,
        },
        UNIT,
    ),
    family(
        "mobileclip-s",
        "MobileCLIP-S, FastViT",
        "open_clip:MobileCLIP-S1/datacompdr",
        {
            "vision_cfg": vision("golden_fastvit", pool="avg", proj=None),
            "text_cfg": {**TEXT, "no_causal_mask": True},
            "custom_text": True,
        },
        UNIT,
    ),
    family(
        "convnext",
        "ConvNeXt",
        "open_clip:convnext_base/laion400m_s13b_b51k",
        {"vision_cfg": vision("golden_convnext", pool="", proj="linear")},
    ),
    family(
        "open-clip-siglip",
        "SigLIP, of open_clip",
        "open_clip:ViT-B-16-SigLIP/webli",
        {
            "vision_cfg": vision("family_vit_siglip", pool="map", proj="none"),
            "text_cfg": {
                **TEXT,
                "context_length": 64,
                "vocab_size": UNIGRAM_SIZE,
                "hf_tokenizer_name": "timm/ViT-B-16-SigLIP",
                "tokenizer_kwargs": {"clean": "canonicalize"},
                "no_causal_mask": True,
                "proj_bias": True,
                "pool_type": "last",
                "norm_kwargs": {"eps": 1e-6},
            },
            "embed_dim": WIDTH,
            "custom_text": True,
            "init_logit_bias": -10,
        },
        HALF,
        save_t5,
    ),
]
