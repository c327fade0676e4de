"""Compares a bundle with the checkpoint it came from: PyTorch, then each stage on the way to the edge.

For onnxruntime the stages are the float graph and the bundle's, so an export error shows apart from a quantisation
error; for the engine its weights, by the engine's arithmetic in PyTorch; and last, for both, the edge's own code in
Node, from the pictures' files and the texts themselves. Measures cosines (mean and worst), whether the edge's token ids
are the reference's and, on labelled photos, zero-shot accuracy; fails beyond a tolerance.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from .accuracy import answers, label_rows, zero_shot_logits
from .calibrated_scores import calibrate_scores
from .costs import float_bytes, measure_times
from .encoders import EncodeTexts, float_text_encoder
from .errors import ExportError
from .label_set import LabelSet, embed_texts, read_label_set
from .measurements import EDGE, Compared, Measurements, Scored, ScoredList
from .photo_list import LeftOut, PhotoList, load_photos
from .sources.source import Source
from .stages import EmbeddedPhotos, Subject, compare_texts, embed_photos
from .tolerance import Tolerance

NOISE_IMAGES = 32
ORDINARY_TEXTS = [
    "a dog",
    "two people riding bicycles in the rain",
    "the word STOP on a red sign",
    "café, 2 €",
    "",
    "?!",
]


class ToleranceError(ExportError):
    """The bundle differs from its source by more than it may; one line per finding."""


def measure_bundle(subject: Subject, photo_lists: Sequence[PhotoList] = ()) -> Measurements:
    """Everything that is measured.

    A photo list is scored with the built-in set that holds all its labels. Without photos the image encoders are
    compared on pictures of noise, and the result says so.
    """
    manifest, source = subject.manifest, subject.source
    label_sets = [read_label_set(subject.folder / entry["file"]["path"]) for entry in manifest["labelSets"]]
    scored_with = [label_set_of(photos, label_sets) for photos in photo_lists] if manifest["text"] else []
    with tempfile.TemporaryDirectory() as scratch:
        lists = photo_lists or [noise_photos(Path(scratch), source.image_size)]
        loaded = [load_photos(photos, manifest["image"], subject.track) for photos in lists]
        embedded = [embed_photos(subject, *parts) for parts in loaded]
    texts = compare_texts(subject, all_texts(label_sets))
    encode_float = float_text_encoder(source, subject.track) if scored_with else None
    joined = {stage: np.concatenate([item.cosines[stage] for item in embedded]) for stage in embedded[0].cosines}
    return Measurements(
        images=Compared("photos" if photo_lists else "noise", joined),
        texts=texts.compared,
        lists=[score_photos(*pair, encode_float, source) for pair in zip(embedded, scored_with, strict=False)],
        refused=[item for photos in embedded for item in refused_by_the_edge(photos)],
        token_ids_differ=texts.token_ids_differ,
        milliseconds=measure_times(subject, loaded[0][1], texts, embedded[0].edge) if subject.costs else {},
        edge_stages=embedded[0].edge.milliseconds if embedded[0].edge else {},
        float_bytes=float_bytes(subject) if subject.costs else {},
    )


def all_texts(label_sets: Sequence[LabelSet]) -> list[str]:
    """Every prompt of the built-in sets, and a few ordinary texts."""
    made_from = [made.texts() for made in label_sets]
    prompts = [text for texts in made_from for label in texts.labels for text in texts.prompts_of(label)]
    return [*dict.fromkeys(prompts), *ORDINARY_TEXTS]


def label_set_of(photos: PhotoList, label_sets: Sequence[LabelSet]) -> LabelSet:
    """The first built-in set that has all labels of the list. Raises ToleranceError if none has."""
    for made in label_sets:
        if set(photos.labels) <= set(made.labels):
            return made
    raise ToleranceError(f"no built-in label set has all labels of {photos.name}")


def score_photos(embedded: EmbeddedPhotos, made: LabelSet, encode_float: EncodeTexts, source: Source) -> ScoredList:
    """Float images with float texts; the bundle's and the edge's images with the built-in set: the same labels and
    templates."""
    truth = label_rows(made.labels, embedded.photos.labels)
    texts = {"float": embed_texts(made.texts(), encode_float)}
    variants = {}
    for name, rows in embedded.rows.items():
        known = ~np.isnan(rows).any(axis=1)  # of the pictures that the edge refuses there is none
        logits = zero_shot_logits(rows[known], texts.get(name, made.embeddings), source.logit_scale)
        given = answers(logits, truth[known], source.logit_bias)
        variants[name] = Scored(given, calibrate_scores(logits, truth[known], source.logit_bias))
    return ScoredList(embedded.photos, made.name, made.labels, len(made.templates), variants)


def refused_by_the_edge(embedded: EmbeddedPhotos) -> list[LeftOut]:
    """The pictures that PIL reads and the edge does not, and why."""
    refused = embedded.edge.refused if embedded.edge else {}
    return [LeftOut(embedded.photos.files[row], why) for row, why in refused.items()]


def findings(quality: dict[str, Any], tolerance: Tolerance) -> list[str]:
    """What is beyond the tolerance, a sentence each."""
    found = []
    for tower, measured in quality["parity"].items():
        for stage, limit in tolerance.cosines(measured).items():
            worst = measured[stage]["cosineWorst"]
            if not worst >= limit:  # also true for NaN
                found.append(f"{tower}, {stage}: worst cosine to PyTorch is {worst}, allowed is {limit}")
        if differ := measured.get(EDGE, {}).get("tokenIdsDiffer", 0):
            found.append(f"{tower}, {EDGE}: {differ} of {measured['count']} texts have not the reference's token ids")
    for entry in quality["accuracy"]:
        for variant in ("int8", EDGE):
            loss = entry["float"]["top1"] - entry.get(variant, entry["float"])["top1"]
            if loss > tolerance.top1_loss:
                allowed = f"allowed is {tolerance.top1_loss:.2%}"
                found.append(f"{entry['photos']}: {variant} loses {loss:.2%} of top-1, {allowed}")
    return found


def check_quality(quality: dict[str, Any], tolerance: Tolerance) -> None:
    """Raises ToleranceError with every finding that is beyond the tolerance."""
    if found := findings(quality, tolerance):
        raise ToleranceError("\n".join(found))


def noise(size: int) -> np.ndarray:
    """[NOISE_IMAGES, 3, size, size]: the same normal noise every time, as spread as normalised pixels are."""
    return np.random.default_rng(0).standard_normal((NOISE_IMAGES, 3, size, size)).astype(np.float32)


def noise_photos(folder: Path, size: int) -> PhotoList:
    """Writes pictures of noise, the same every time: PNGs of the image encoder's own size."""
    pictures = np.random.default_rng(0).integers(0, 256, (NOISE_IMAGES, size, size, 3), dtype=np.uint8)
    files = [folder / f"noise-{number:02}.png" for number in range(NOISE_IMAGES)]
    for file, pixels in zip(files, pictures, strict=True):
        Image.fromarray(pixels).save(file)
    return PhotoList("noise", files, [])
