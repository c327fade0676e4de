"""Bundles of random weights in the true sizes of a ViT-B, for the Worker's bench: `npm run bench` calls this.

    python -m clip_export.random_vit --patch 32 --runtime engine --out ../build/bench/models/vit-b-32

The image encoder has OpenAI's architecture (Radford et al. 2021, table 20); the text encoder is as small as may be,
since nobody asks it. What such a bundle answers means nothing, and nothing is verified.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import torch
from transformers import CLIPConfig, CLIPModel

from .atomic import replacing
from .bundle import BundleFacts, write_bundle
from .bundle_encoders import ENGINE, ONNX, EngineEncoders, exact, write_float_graphs
from .engine.calibration import all_fast
from .engine.samples import image_samples
from .engine.weights import Tensors, Tower
from .progress import Track
from .sources.source import load_source
from .verify import noise

SEED = 0
SIZE = 224


def save_vit(folder: Path, patch: int) -> None:
    """A CLIPModel with a ViT-B of 224 pixels."""
    torch.manual_seed(SEED)
    small = {"hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 1}
    config = CLIPConfig(
        vision_config={
            "hidden_size": 768,
            "intermediate_size": 3072,
            "num_hidden_layers": 12,
            "num_attention_heads": 12,
            "image_size": SIZE,
            "patch_size": patch,
        },
        text_config={**small, "bos_token_id": 49406, "eos_token_id": 49407},
        projection_dim=512,
    )
    CLIPModel(config).save_pretrained(folder)


def fast_images(name: str, tower: Tower, track: Track) -> tuple[Tensors, list[str]]:
    """All products of the image's blocks fast, as calibration would nearly have it; ranges are those of some noise."""
    return exact(name, tower, track) if name == "text" else all_fast(tower, image_samples(noise(SIZE)[:8]).fit, track)


def write_vit(out: Path, patch: int, runtime: str) -> None:
    """A bundle whose id is its folder's name."""
    with tempfile.TemporaryDirectory() as scratch, replacing(out) as folder:
        checkpoint = Path(scratch) / "checkpoint"
        save_vit(checkpoint, patch)
        source = load_source(str(checkpoint), f"ViT-B/{patch}, random")
        engine = EngineEncoders(source, fast_images)
        encoders = engine if runtime == ENGINE else write_float_graphs(source, Path(scratch))
        write_bundle(folder, source, encoders, BundleFacts(out.name, source.name, "none"))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--patch", type=int, required=True)
    parser.add_argument("--runtime", choices=[ENGINE, ONNX], required=True)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    write_vit(arguments.out, arguments.patch, arguments.runtime)
