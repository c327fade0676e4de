"""A whole bundle of a small SiglipModel, images and texts, as `clip-export export` writes it, and transformers' own
embeddings for it."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn
from transformers import SiglipConfig, SiglipImageProcessorPil, SiglipModel

from ..bundle import BundleFacts, write_bundle
from ..bundle_encoders import EngineEncoders
from ..sources.source import load_source
from .random_weights import fill
from .small_tokenizers import UNIGRAM_SIZE, load, save_siglip

ID = "siglip"
CONTEXT = 24
TEXTS = ["a photo of a cat", "", "Two women, 3 dogs & a BICYCLE_PUMP!", "one word after the other " * 9, "Кошка ｶﾀｶﾅ ½"]
SIZES = {"hidden_size": 16, "num_attention_heads": 2, "num_hidden_layers": 2, "intermediate_size": 32}


def save_checkpoint(folder: Path) -> Path:
    """Weights, tokenizer and image processor as transformers saves them."""
    vision = {**SIZES, "image_size": 32, "patch_size": 8}
    tokens = {"vocab_size": UNIGRAM_SIZE, "bos_token_id": 1, "eos_token_id": 1, "pad_token_id": 1}
    text = {**SIZES, **tokens, "max_position_embeddings": CONTEXT, "projection_size": SIZES["hidden_size"]}
    config = SiglipConfig(vision_config=vision, text_config=text)
    fill(SiglipModel(config).eval(), np.random.default_rng(0)).save_pretrained(folder)
    SiglipImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(folder)
    return save_siglip(folder)


def write_siglip_bundle(photos: list[Path], folder: Path) -> dict[str, np.ndarray]:
    """Writes the bundle into `folder`. Returns `images` F32 [photos, dim] and `texts` F32 [TEXTS, dim], unit rows, by
    transformers' own processor, tokenizer and forward passes."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        checkpoint = save_checkpoint(Path(scratch) / ID)
        source = load_source(str(checkpoint))
        write_bundle(folder, source, EngineEncoders(source), BundleFacts(ID, "Random, of transformers", "none"))
        model, tokenizer = SiglipModel.from_pretrained(checkpoint).eval(), load(checkpoint)
        processor = SiglipImageProcessorPil.from_pretrained(checkpoint)
    pixels = processor([Image.open(photo).convert("RGB") for photo in photos], return_tensors="pt")["pixel_values"]
    ids = tokenizer(TEXTS, padding="max_length", max_length=CONTEXT, truncation=True, return_tensors="pt").input_ids
    with torch.inference_mode():
        images = nn.functional.normalize(model.get_image_features(pixels).pooler_output, dim=-1)
        texts = nn.functional.normalize(model.get_text_features(ids).pooler_output, dim=-1)
    return {"images": images.numpy(), "texts": texts.numpy()}
