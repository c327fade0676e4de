"""PyTorch's float32 embeddings of a list's first photos, for the Worker's bench to compare its own with.

python -m clip_export.reference_embeddings CHECKPOINT --images photos.tsv --image-folder photos --count 250 --out f
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from safetensors.numpy import save_file

from .encoders import float_image_encoder
from .photo_list import load_pixels, read_photo_list
from .sources.source import load_source


def write_reference(checkpoint: str, images: Path, folder: Path, count: int, out: Path) -> None:
    """Writes a safetensors file with `embeddings` F32 [count, dim], unit rows, in the list's order."""
    source = load_source(checkpoint)
    photos = read_photo_list(images, folder)
    few = replace(photos, files=photos.files[:count], labels=photos.labels[:count])
    save_file({"embeddings": float_image_encoder(source)(load_pixels(few, source.preprocessing))}, out)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint")
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--image-folder", type=Path, required=True)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    write_reference(arguments.checkpoint, arguments.images, arguments.image_folder, arguments.count, arguments.out)
