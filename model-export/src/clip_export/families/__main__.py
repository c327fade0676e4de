"""`python -m clip_export.families --out FOLDER`: a bundle of each family and runtime, and its reference."""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from safetensors.numpy import save_file

from ..atomic import replacing
from ..bundle import BundleFacts, write_bundle
from ..bundle_encoders import ENGINE, ONNX, EngineEncoders, write_float_graphs
from ..engine.architecture import ArchitectureError
from ..errors import ExportError
from ..progress import bar
from ..sources.source import load_source
from . import hugging_face_families, open_clip_families
from .family import Family, Reference

FAMILIES = [*hugging_face_families.FAMILIES, *open_clip_families.FAMILIES]
TEXTS = [
    "a photo of a cat",
    "a photo of a dog.",
    "",
    "Two women, 3 dogs &amp; a BICYCLE!",
    "café, 2 €: naïve “quotes” … 10:30",
    "日本の写真, фото, صورة 🐈‍⬛",
    "one word after the other " * 20,
]


ALIKE = 0.99
"""the most that the embeddings of two pictures, or of two texts, may be alike"""


def write_family(family: Family, photos: list[Path], out: Path) -> dict[str, Any]:
    """Writes the family's bundles and `<id>.safetensors`: `pixels` F32 [photos, 3, size, size], `images` and `texts`
    F32 [.., dim], unit rows. Returns what families.json says of it."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / family.id
        family.save(folder)
        made = {runtime: export(family, folder, runtime, out / "models") for runtime in (ENGINE, ONNX)}
        reference = family.load(folder)
        tokens = reference.token_ids(TEXTS)
        save_file(reference_tensors(reference, photos, tokens), out / f"{family.id}.safetensors")
    facts = {"id": family.id, "name": family.name, "published": family.published, "least": family.least}
    return {**facts, "tokens": tokens.tolist(), "runtimes": made}


def export(family: Family, folder: Path, runtime: str, models: Path) -> dict[str, str]:
    """{"model": its id}, or {"refused": why}."""
    id = f"{family.id}-{runtime}"
    try:
        source = load_source(str(folder))
        with tempfile.TemporaryDirectory() as scratch, replacing(models / id) as bundle:
            encoders = EngineEncoders(source) if runtime == ENGINE else write_float_graphs(source, Path(scratch))
            write_bundle(bundle, source, encoders, BundleFacts(id, family.name, "none"))
    except (ArchitectureError, ExportError) as error:
        return {"refused": str(error)}
    return {"model": id}


def reference_tensors(reference: Reference, photos: list[Path], tokens: np.ndarray) -> dict[str, np.ndarray]:
    """Raises ValueError where embeddings are so alike that another picture's would pass for a picture's own."""
    pixels = np.stack([reference.pixel_values(Image.open(photo)) for photo in photos]).astype(np.float32)
    embeddings = {"images": reference.images(pixels), "texts": reference.texts(tokens)}
    for name, rows in embeddings.items():
        alike = (rows @ rows.T)[np.triu_indices(len(rows), 1)].max()
        if alike > ALIKE:
            raise ValueError(f"two {name} have a cosine of {alike:.4f}")
    return {"pixels": pixels, **embeddings}


def write_photos(samples: Path, folder: Path) -> list[Path]:
    """The samples as PNGs: a large JPEG is made smaller by the edge's decoder as it reads it, by PIL afterwards."""
    folder.mkdir(parents=True, exist_ok=True)
    photos = []
    for sample in sorted([*samples.glob("*.png"), *samples.glob("*.jpg")]):
        photos.append(folder / f"{sample.stem}.png")
        Image.open(sample).convert("RGB").save(photos[-1])
    return photos


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--samples", type=Path, required=True, help="a folder of photos")
    options.add_argument("--out", type=Path, required=True)
    given = options.parse_args()
    photos = write_photos(given.samples, given.out / "photos")
    families = [write_family(family, photos, given.out) for family in bar(FAMILIES, "families")]
    facts = {"photos": [photo.name for photo in photos], "texts": TEXTS, "families": families}
    (given.out / "families.json").write_text(json.dumps(facts, ensure_ascii=False, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
