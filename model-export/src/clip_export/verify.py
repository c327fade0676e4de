"""Compares a bundle with the checkpoint it came from: PyTorch, then each stage on the way to the edge.

For onnxruntime the stages are the float graph and the bundle's, so an export error shows apart from a quantisation
error; for the engine its weights, by the engine's arithmetic in PyTorch. Measures cosines (mean and worst) and, on
labelled photos, zero-shot accuracy; fails beyond a tolerance. Does not check the edge itself: the TypeScript tests do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .accuracy import zero_shot_accuracy
from .bundle_encoders import ONNX, FloatGraphs, bundle_image_encoder, bundle_text_encoder
from .encoders import EncodeTexts, float_image_encoder, float_text_encoder, graph_image_encoder, graph_text_encoder
from .errors import ExportError
from .label_set import LabelSet, embed_labels, fill_template, read_label_set
from .photo_list import PhotoList, load_pixels
from .precision import Precision
from .progress import Track, silent
from .sources.source import Source
from .tolerance import Tolerance

FLOAT_GRAPH = "floatGraph"
ENGINE_WEIGHTS = "engineWeights"

NOISE_IMAGES = 32
ORDINARY_TEXTS = [
    "a dog",
    "two people riding bicycles in the rain",
    "the word STOP on a red sign",
    "café, 2 €",
    "",
    "?!",
]


@dataclass(frozen=True)
class Measured:
    """Photos and their embeddings by PyTorch and by the bundle."""

    photos: PhotoList
    reference: np.ndarray
    int8: np.ndarray


class ToleranceError(ExportError):
    """The bundle differs from its source by more than it may; one line per finding."""


def measure_quality(
    folder: Path,
    manifest: dict[str, Any],
    source: Source,
    graphs: FloatGraphs | None,
    photo_lists: Sequence[PhotoList] = (),
    track: Track = silent,
) -> dict[str, Any]:
    """The manifest's `quality`: {parity: {image, text}, accuracy: [per photo list]}; without a text encoder neither
    texts nor accuracy.

    A photo list is scored with the built-in set that holds all its labels; "int8" there is the bundle, whatever its
    runtime. Without photos the image encoders are compared on noise, and the result says so.
    """
    label_sets = [read_label_set(folder / entry["file"]["path"]) for entry in manifest["labelSets"]]
    stages = {FLOAT_GRAPH: graph_image_encoder(graphs.image, track)} if graphs else {}
    made = bundle_stage(manifest["image"])
    stages[made] = bundle_image_encoder(folder, manifest, track)
    on = "photos" if photo_lists else "noise"
    pixel_sets = [load_pixels(photos, manifest["image"], track) for photos in photo_lists] or [noise(source.image_size)]
    reference = [float_image_encoder(source, track)(pixels) for pixels in pixel_sets]
    by_stage = {stage: [encode(pixels) for pixels in pixel_sets] for stage, encode in stages.items()}
    joined = {stage: np.concatenate(rows) for stage, rows in by_stage.items()}
    images = {"on": on, **parity(np.concatenate(reference), joined)}
    if manifest["text"] is None:
        return {"parity": {"image": images}, "accuracy": []}
    encode_float = float_text_encoder(source, track)
    scored = [Measured(*parts) for parts in zip(photo_lists, reference, by_stage[made], strict=False)]
    return {
        "parity": {"image": images, "text": text_parity(folder, manifest, source, graphs, label_sets, track)},
        "accuracy": [photo_accuracy(item, label_sets, encode_float, source) for item in scored],
    }


def text_parity(
    folder: Path,
    manifest: dict[str, Any],
    source: Source,
    graphs: FloatGraphs | None,
    label_sets: Sequence[LabelSet],
    track: Track = silent,
) -> dict[str, Any]:
    """Text encoders compared on every prompt of the built-in sets and a few ordinary texts."""
    prompts = [fill_template(t, label) for made in label_sets for label in made.labels for t in made.templates]
    texts = [*dict.fromkeys(prompts), *ORDINARY_TEXTS]
    stages = {}
    if graphs:
        stages[FLOAT_GRAPH] = graph_text_encoder(graphs.text, source.text.tokenizer, track, graphs.padding)
    stages[bundle_stage(manifest["text"])] = bundle_text_encoder(folder, manifest, track)
    reference = float_text_encoder(source, track)(texts)
    return parity(reference, {stage: encode(texts) for stage, encode in stages.items()})


def bundle_stage(encoder: dict[str, Any]) -> str:
    """What a bundle's own encoder is called in `quality.parity`: by its precision, or that the engine runs it."""
    return encoder.get("precision", Precision.INT8.value) if encoder["runtime"] == ONNX else ENGINE_WEIGHTS


def parity(reference: np.ndarray, stages: dict[str, np.ndarray]) -> dict[str, Any]:
    """Cosines of each stage's embeddings to the reference, row by row; all [n, dim], unit rows."""
    result: dict[str, Any] = {"count": len(reference)}
    for name, embeddings in stages.items():
        cosines = (reference.astype(np.float64) * embeddings).sum(axis=1)
        result[name] = {"cosineMean": round(float(cosines.mean()), 6), "cosineWorst": round(float(cosines.min()), 6)}
    return result


def photo_accuracy(
    measured: Measured, label_sets: Sequence[LabelSet], encode_float: EncodeTexts, source: Source
) -> dict[str, Any]:
    """Float images with float texts, and the bundle's images with its built-in set, same labels and templates."""
    truth = measured.photos.labels
    for made in label_sets:
        if set(truth) <= set(made.labels):
            texts = embed_labels(made.labels, made.templates, encode_float)
            scale, bias = source.logit_scale, source.logit_bias
            in_float = zero_shot_accuracy(measured.reference, texts, scale, made.labels, truth, bias)
            in_int8 = zero_shot_accuracy(measured.int8, made.embeddings, scale, made.labels, truth, bias)
            facts = {"photos": measured.photos.name, "count": len(truth), "labelSet": made.name}
            return {**facts, "float": in_float.rounded(), "int8": in_int8.rounded()}
    raise ToleranceError(f"no built-in label set has all labels of {measured.photos.name}")


def check_quality(quality: dict[str, Any], tolerance: Tolerance) -> None:
    """Raises ToleranceError with every finding that is beyond the tolerance."""
    findings = []
    for tower, measured in quality["parity"].items():
        for stage, limit in tolerance.cosines(measured).items():
            worst = measured[stage]["cosineWorst"]
            if not worst >= limit:  # also true for NaN
                findings.append(f"{tower}, {stage}: worst cosine to PyTorch is {worst}, allowed is {limit}")
    for entry in quality["accuracy"]:
        loss = entry["float"]["top1"] - entry["int8"]["top1"]
        if loss > tolerance.top1_loss:
            findings.append(f"{entry['photos']}: int8 loses {loss:.2%} of top-1, allowed is {tolerance.top1_loss:.2%}")
    if findings:
        raise ToleranceError("\n".join(findings))


def noise(size: int) -> np.ndarray:
    """[NOISE_IMAGES, 3, size, size]: the same normal noise every time, as spread as normalised pixels are."""
    return np.random.default_rng(0).standard_normal((NOISE_IMAGES, 3, size, size)).astype(np.float32)
