"""A whole bundle of a small open_clip model, as `clip-export export` writes it, and open_clip's embeddings for it.

It has what CLIP has not: pictures are squashed with the bilinear filter, texts filled up to the context's length, and
its similarity is the sigmoid's. Its tokenizer's files are those of every bundle, so they are not kept here.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import torch
from open_clip import create_model, get_tokenizer
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image

from ..bundle import BundleFacts, write_bundle
from ..bundle_encoders import EngineEncoders
from ..sources.source import load_source
from .saved_open_clip import SIGLIP, SQUASHED, save_open_clip

ID = "open-clip"
TEXTS = ["a photo of a cat", "", "Two women, 3 dogs &amp; a bicycle!", "one word after the other " * 9]


def write_open_clip_bundle(photos: list[Path], folder: Path) -> dict[str, np.ndarray]:
    """Writes the bundle into `folder`. Returns `pixels` F32 [photos, 3, size, size], `images` F32 [photos, dim] and
    `texts` F32 [TEXTS, dim], unit rows, by open_clip's own transform, tokenizer and forward passes."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        checkpoint = save_open_clip(Path(scratch) / ID, SIGLIP, SQUASHED)
        source = load_source(str(checkpoint))
        manifest = write_bundle(folder, source, EngineEncoders(source), BundleFacts(ID, "Random, of open_clip", "none"))
        name = f"local-dir:{checkpoint}"
        model, tokenizer = create_model(name).eval(), get_tokenizer(name)
    for entry in manifest["text"]["tokenizer"]["files"]:
        (folder / entry["path"]).unlink()
    transform = image_transform_v2(PreprocessCfg(**model.visual.preprocess_cfg), is_train=False)
    pixels = torch.stack([transform(Image.open(photo)) for photo in photos])
    with torch.inference_mode():
        images = model.encode_image(pixels, normalize=True)
        texts = model.encode_text(tokenizer(TEXTS), normalize=True)
    return {"pixels": pixels.numpy(), "images": images.numpy(), "texts": texts.numpy()}
