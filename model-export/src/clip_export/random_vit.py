"""Bundles of random weights in the true sizes of a ViT-B, for the Worker's bench: `npm run bench` calls this.

    python -m clip_export.random_vit --patch 32 --runtime engine --out ../build/bench/models/vit-b-32

The image encoder has OpenAI's architecture (Radford et al. 2021, table 20); the text encoder is as small as may be,
since nobody asks it. What such a bundle answers means nothing, and nothing is verified.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import torch
from transformers import CLIPConfig, CLIPModel

from .bundle import BundleFacts, replacing, write_bundle
from .bundle_encoders import ENGINE, ONNX, EngineEncoders, write_float_graphs
from .engine_calibration import fast_candidates, image_samples, input_ranges
from .engine_folding import fold
from .engine_linear import pack_linears
from .engine_reference import EngineEncoder, FloatLinears
from .engine_weights import Tensors
from .progress import Track
from .source import load_source
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


class FastEncoders(EngineEncoders):
    """All products of the blocks fast, as calibration would nearly have it; ranges are those of a little noise."""

    def pack(
        self, name: str, tensors: Tensors, architecture: dict[str, Any], track: Track
    ) -> tuple[Tensors, list[str]]:
        if name == "text":
            return super().pack(name, tensors, architecture, track)
        encoder = EngineEncoder(tensors, architecture, FloatLinears(tensors))
        ranges = input_ranges(encoder, image_samples(noise(SIZE)[:8]).fit, track)
        fast = fast_candidates(tensors, architecture)
        return pack_linears(fold(tensors, architecture["layers"], ranges, fast), fast), fast


def write_vit(out: Path, patch: int, runtime: str) -> None:
    """A bundle whose id is its folder's name."""
    with tempfile.TemporaryDirectory() as scratch, replacing(out) as folder:
        checkpoint = Path(scratch) / "checkpoint"
        save_vit(checkpoint, patch)
        source = load_source(str(checkpoint), f"ViT-B/{patch}, random")
        encoders = FastEncoders(source) if runtime == ENGINE else write_float_graphs(source, Path(scratch))
        write_bundle(folder, source, encoders, BundleFacts(out.name, source.name, "none"))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--patch", type=int, required=True)
    parser.add_argument("--runtime", choices=[ENGINE, ONNX], required=True)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    write_vit(arguments.out, arguments.patch, arguments.runtime)
