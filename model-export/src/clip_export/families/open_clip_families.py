"""open_clip's families: small models of its own configurations, saved as it saves them for the hub."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from open_clip import CLIP, CustomTextCLIP, create_model, get_tokenizer, set_model_preprocess_cfg
from open_clip.push_to_hf_hub import save_config_for_hf
from open_clip.transform import PreprocessCfg, image_transform_v2
from safetensors.torch import save_file

from .family import Family, Reference
from .random_weights import draw, settle

Config = dict[str, Any]

TEXT: Config = {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 4, "layers": 3}
VIT: Config = {"image_size": 64, "patch_size": 16, "width": 96, "head_width": 32, "layers": 3}
CLIPS: Config = {"mean": [0.48145466, 0.4578275, 0.40821073], "std": [0.26862954, 0.26130258, 0.27577711]}
HALF: Config = {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}


@dataclass(frozen=True)
class OpenClip:
    """A model of open_clip's and how its pictures are prepared."""

    model: Config
    preprocess: Config

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        options = copy.deepcopy(self.model)
        make = CustomTextCLIP if options.pop("custom_text", False) else CLIP
        model = draw(make(**options), seed=1)
        settle(model, model.encode_image, self.model["vision_cfg"]["image_size"])
        set_model_preprocess_cfg(model, self.preprocess)
        save_config_for_hf(model, folder / "open_clip_config.json", self.model)
        save_file(model.state_dict(), folder / "open_clip_model.safetensors")


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


def family(id: str, name: str, published: str, model: Config, preprocess: Config = CLIPS) -> Family:
    return Family(id, name, published, OpenClip({"embed_dim": 64, "text_cfg": TEXT, **model}, preprocess).save, load)


FAMILIES = [
    family("openai-vit", "OpenAI's ViT", "open_clip:ViT-B-32/openai", {"vision_cfg": VIT, "quick_gelu": True}),
    family("open-clip-vit", "OpenCLIP's ViT", "open_clip:ViT-B-32/laion2b_s34b_b79k", {"vision_cfg": VIT}),
    family(
        "resnet",
        "CLIP's modified ResNet",
        "open_clip:RN50/openai",
        {"vision_cfg": {"image_size": 64, "layers": [2, 2, 2, 2], "width": 32, "head_width": 32}, "quick_gelu": True},
    ),
]
