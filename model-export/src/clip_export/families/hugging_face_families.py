"""Hugging Face's families: small models of transformers' classes, saved by `save_pretrained`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from open_clip import SimpleTokenizer
from open_clip.transform import PreprocessCfg, image_transform_v2
from torch import nn
from transformers import CLIPConfig, CLIPModel, SiglipConfig, SiglipImageProcessorPil, SiglipModel
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from ..golden import small_tokenizers
from .family import Family, Reference
from .random_weights import draw

TOWER = {"hidden_size": 96, "intermediate_size": 256, "num_hidden_layers": 3, "num_attention_heads": 3}
SIZE = 64


def save_clip(folder: Path) -> None:
    config = CLIPConfig(
        text_config={**TOWER, "hidden_act": "quick_gelu", "bos_token_id": 49406, "eos_token_id": 49407},
        vision_config={**TOWER, "hidden_act": "quick_gelu", "image_size": SIZE, "patch_size": 16},
        projection_dim=64,
    )
    draw(CLIPModel(config), seed=1).save_pretrained(folder)
    size = {"size": {"shortest_edge": SIZE}, "crop_size": {"height": SIZE, "width": SIZE}}
    CLIPImageProcessorPil(**size).save_pretrained(folder)


def load_clip(folder: Path) -> Reference:
    """Texts and pictures are prepared as the models were trained, by open_clip's copies of what OpenAI did.

    transformers' tokenizer does not mend texts (ftfy, HTML). Of its two image processors, PIL's cuts a picture half a
    pixel off OpenAI's centre where an odd number of pixels is left over, and torchvision's resizes with rounding errors
    of its own.
    """
    model, tokenizer = CLIPModel.from_pretrained(folder).eval(), SimpleTokenizer()
    processor = CLIPImageProcessorPil.from_pretrained(folder)
    prepared = PreprocessCfg(size=processor.crop_size["height"], mean=processor.image_mean, std=processor.image_std)
    transform = image_transform_v2(prepared, is_train=False)
    return Reference(
        lambda photo: transform(photo).numpy(),
        lambda lines: tokenizer(lines).numpy(),
        lambda pixels: _unit(model.get_image_features(pixel_values=torch.from_numpy(pixels)).pooler_output),
        lambda ids: _unit(model.get_text_features(input_ids=torch.from_numpy(ids)).pooler_output),
    )


def save_siglip(folder: Path, save_tokenizer: Callable[[Path], Path] = small_tokenizers.save_siglip) -> None:
    folder.mkdir(parents=True)
    tokenizer = small_tokenizers.load(save_tokenizer(folder))
    ids = {"vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_token_id, "eos_token_id": 1, "bos_token_id": 1}
    config = SiglipConfig(
        text_config={**TOWER, **ids, "max_position_embeddings": 64, "projection_size": TOWER["hidden_size"]},
        vision_config={**TOWER, "image_size": SIZE, "patch_size": 16},
    )
    draw(SiglipModel(config), seed=1).save_pretrained(folder)
    SiglipImageProcessorPil(size={"height": SIZE, "width": SIZE}).save_pretrained(folder)


def save_siglip_2(folder: Path) -> None:
    """Of one resolution: a SiglipModel with Gemma's tokenizer."""
    save_siglip(folder, small_tokenizers.save_gemma)


def load_siglip(folder: Path) -> Reference:
    model, tokenizer = SiglipModel.from_pretrained(folder).eval(), small_tokenizers.load(folder)
    processor = SiglipImageProcessorPil.from_pretrained(folder)
    length = model.config.text_config.max_position_embeddings
    full = {"padding": "max_length", "max_length": length, "truncation": True, "return_tensors": "np"}
    return Reference(
        lambda photo: processor(photo, return_tensors="np")["pixel_values"][0],
        lambda lines: tokenizer(lines, **full).input_ids,
        lambda pixels: _unit(model.get_image_features(pixel_values=torch.from_numpy(pixels)).pooler_output),
        lambda ids: _unit(model.get_text_features(input_ids=torch.from_numpy(ids)).pooler_output),
    )


def _unit(features: torch.Tensor) -> np.ndarray:
    return nn.functional.normalize(features.detach(), dim=-1).numpy()


FAMILIES = [
    Family("clip", "CLIP, TinyCLIP", "openai/clip-vit-base-patch32", save_clip, load_clip),
    Family("siglip", "SigLIP", "google/siglip-base-patch16-224", save_siglip, load_siglip),
    Family("siglip-2", "SigLIP 2", "google/siglip2-base-patch16-224", save_siglip_2, load_siglip),
]
