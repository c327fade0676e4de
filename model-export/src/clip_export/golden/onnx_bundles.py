"""Whole bundles of small models for onnxruntime-web, as `clip-export export` writes them, and their libraries'
embeddings: CLIP's ResNet, MobileCLIP's FastViT, and SigLIP with padded texts in each precision."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from open_clip import create_model
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image
from transformers import SiglipImageProcessorPil, SiglipModel

from ..bundle import BundleFacts, write_bundle
from ..bundle_encoders import write_float_graphs
from ..precision import Precision
from ..sources.source import load_source
from . import siglip_bundle
from .saved_open_clip import MOBILE, RESNET, Config, save_open_clip
from .small_tokenizers import BPE_SIZE, load, save_gemma


@dataclass(frozen=True)
class Model:
    config: Config | None
    """open_clip's, of which the images are taken; None: siglip_bundle.py's, with the tokenizer of SigLIP 2"""
    precision: Precision = Precision.INT8


MODELS = {
    "resnet": Model(RESNET),
    "mobile": Model(MOBILE),
    "siglip": Model(None),
    "siglip-float16": Model(None, Precision.FLOAT16),
    "siglip-float32": Model(None, Precision.FLOAT32),
}


def write_onnx_bundles(photos: list[Path], folder: Path) -> dict[str, np.ndarray]:
    """Writes a bundle into `folder`/ID for each of MODELS. Returns `<id>/images` F32 [photos, dim] and, where there is
    a text encoder, `<id>/texts` F32 [TEXTS, dim], unit rows."""
    tensors = {}
    for name, model in MODELS.items():
        with tempfile.TemporaryDirectory() as scratch:
            checkpoint = Path(scratch) / name
            if model.config:
                save_open_clip(checkpoint, model.config)
                made = {"images": open_clips_images(checkpoint, photos)}
            else:
                siglip_bundle.save_checkpoint(checkpoint, save_gemma, BPE_SIZE)
                made = transformers_embeddings(checkpoint, photos)
            write_graphs(checkpoint, folder / name, model)
        tensors |= {f"{name}/{kind}": rows for kind, rows in made.items()}
    return tensors


def write_graphs(checkpoint: Path, folder: Path, model: Model) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    source = load_source(str(checkpoint), image_only=model.config is not None)
    graphs = write_float_graphs(source, checkpoint, model.precision)
    write_bundle(folder, source, graphs, BundleFacts(folder.name, f"Random, in {model.precision}", "none"))


@torch.inference_mode()
def open_clips_images(checkpoint: Path, photos: list[Path]) -> np.ndarray:
    """By its own transform and forward pass."""
    model = create_model(f"local-dir:{checkpoint}").eval()
    transform = image_transform_v2(PreprocessCfg(**model.visual.preprocess_cfg), is_train=False)
    pixels = torch.stack([transform(Image.open(photo)) for photo in photos])
    return model.encode_image(pixels, normalize=True).numpy()


def transformers_embeddings(checkpoint: Path, photos: list[Path]) -> dict[str, np.ndarray]:
    model, processor = SiglipModel.from_pretrained(checkpoint), SiglipImageProcessorPil.from_pretrained(checkpoint)
    return siglip_bundle.embeddings(model.eval(), processor, load(checkpoint), photos)
