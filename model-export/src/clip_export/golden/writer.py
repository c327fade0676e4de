"""Writes the golden files, step by step."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

from rich.progress import Progress
from safetensors.numpy import save_file
from transformers.image_utils import OPENAI_CLIP_MEAN, OPENAI_CLIP_STD

from ..engine.file import write_engine_file
from . import siglip_bundle
from .bad_images import bad_images
from .embeddings import EMBEDDED_TEXTS, Reference, rows
from .engine import golden_engine
from .engine_memory import golden_memory
from .hf_tokens import write_hf_tokens
from .jpeg_images import jpeg_images
from .open_clip_bundle import ID, TEXTS, write_open_clip_bundle
from .photos import cc0_photos
from .pixels import golden_pixels, golden_resizes
from .png_images import png_images
from .predictions import golden_predictions
from .siglip_bundle import write_siglip_bundle
from .tokens import golden_tokens
from .webp_gif_images import gif_images, webp_images

PHOTOS = (".jpg", ".png")


def write_json(path: Path, content: dict) -> None:
    """ASCII, one case a line: diffs stay readable, and no editor can normalise or mangle a text."""
    lists = {key: value for key, value in content.items() if isinstance(value, list) and value}
    parts = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in content.items() if key not in lists]
    for key, items in lists.items():
        parts.append(f"{json.dumps(key)}: [\n" + ",\n".join(json.dumps(item) for item in items) + "\n]")
    path.write_text("{\n" + ",\n".join(parts) + "\n}\n", encoding="ascii")


def write_pictures(samples: Path, fixtures: Path) -> None:
    photos = cc0_photos(samples)
    for make in (jpeg_images, png_images, webp_images, gif_images):
        for name, file in make(photos).items():
            (fixtures / "images" / name).write_bytes(file)
    bad = bad_images(photos)
    for name, file in bad.items():
        (fixtures / "bad" / name).write_bytes(file.content)
    cases = [
        {"file": name, "why": file.why, "codes": list(file.codes), "mayDecode": file.may_decode}
        for name, file in bad.items()
    ]
    write_json(fixtures / "bad.json", {"cases": cases})


def write_pixels(samples: Path, fixtures: Path, out: Path) -> None:
    # paths in the files are relative to the folder that holds both the samples and the fixtures: the repository
    root = Path(os.path.commonpath([samples.resolve(), fixtures.resolve()]))
    pictures = [*sample_photos(samples), *sorted((fixtures / "images").iterdir())]
    golden = golden_pixels([path.resolve() for path in pictures], root, list(OPENAI_CLIP_MEAN), list(OPENAI_CLIP_STD))
    save_file(golden.tensors, out / "pixels.safetensors")
    write_json(out / "pixels.json", {"cases": golden.cases, "pixelValues": golden.pixel_values})
    tensors, cases = golden_resizes()
    save_file(tensors, out / "resize.safetensors")
    write_json(out / "resize.json", {"cases": cases})


def write_embeddings(model_dir: Path, samples: Path, out: Path) -> None:
    reference = Reference.load(model_dir)
    images = {path.name: reference.embed_image(path) for path in sample_photos(samples)}
    texts = rows(reference.embed_text(text) for text in EMBEDDED_TEXTS)
    label_tensors, predictions = golden_predictions(images, reference)
    save_file({"images": rows(images.values()), "texts": texts, **label_tensors}, out / "embeddings.safetensors")
    names = {"images": list(images), "texts": EMBEDDED_TEXTS}
    write_json(out / "embeddings.json", {"dim": int(texts.shape[1]), **names})
    write_json(out / "predictions.json", predictions)


def write_engine(out: Path) -> None:
    """Weights, inputs and outputs of small models; needs no checkpoint and no photos."""
    golden = list(golden_engine())
    for case in golden:
        write_engine_file(out / case.entry["image"]["file"], "image", case.image)
        write_engine_file(out / case.entry["text"]["file"], "text", case.text)
    save_file({name: values for case in golden for name, values in case.tensors.items()}, out / "engine.safetensors")
    write_json(out / "engine.json", {"cases": [case.entry for case in golden]})
    write_json(out / "engine-memory.json", golden_memory())


def write_bundles(samples: Path, out: Path) -> None:
    photos = sample_photos(samples)
    names = [photo.name for photo in photos]
    save_file(write_open_clip_bundle(photos, out / "models" / ID), out / "open-clip.safetensors")
    write_json(out / "open-clip.json", {"images": names, "texts": TEXTS})
    save_file(write_siglip_bundle(photos, out / "models" / siglip_bundle.ID), out / "siglip.safetensors")
    write_json(out / "siglip.json", {"images": names, "texts": siglip_bundle.TEXTS})


def sample_photos(samples: Path) -> list[Path]:
    return sorted(path for path in samples.iterdir() if path.suffix in PHOTOS)


def write_golden(model_dir: Path, out: Path, samples: Path, fixtures: Path, progress: Progress | None = None) -> None:
    """Writes pictures to `fixtures`/images and /bad, and what the references make of them and of texts to `out`.

    `model_dir`: a Hugging Face CLIPModel. `samples`: the folder of sample photos; it and `fixtures` must lie in the
    same repository. Writes the same bytes whenever the versions of its packages are the same.
    """
    for folder in (out, fixtures / "images", fixtures / "bad"):
        folder.mkdir(parents=True, exist_ok=True)
    steps: dict[str, Callable[[], None]] = {
        "pictures": lambda: write_pictures(samples, fixtures),
        "pixels": lambda: write_pixels(samples, fixtures, out),
        "tokens": lambda: write_json(out / "tokens.json", golden_tokens(context_length=77)),
        "embeddings": lambda: write_embeddings(model_dir, samples, out),
        "engine": lambda: write_engine(out),
        "bundles": lambda: write_bundles(samples, out),
        "other tokens": lambda: write_json(out / "hf-tokens.json", write_hf_tokens(out)),
    }
    task = progress.add_task("golden files", total=len(steps)) if progress else None
    for name, step in steps.items():
        if progress:
            progress.update(task, description=f"golden files: {name}")
        step()
        if progress:
            progress.advance(task)
