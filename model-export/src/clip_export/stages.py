"""The stages of a bundle on its way from the checkpoint to the edge, and how near each is to PyTorch's embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from .bundle_encoders import ONNX, FloatGraphs, bundle_image_encoder, bundle_text_encoder
from .edge import EdgeCode, EdgeEmbeddings, edge_images, edge_texts
from .encoders import EncodeTexts, float_image_encoder, float_text_encoder, graph_image_encoder, graph_text_encoder
from .measurements import EDGE, Compared
from .photo_list import PhotoList
from .precision import Precision
from .progress import Track, silent
from .sources.source import Source

FLOAT_GRAPH = "floatGraph"
ENGINE_WEIGHTS = "engineWeights"


@dataclass(frozen=True)
class Subject:
    """What is compared, and by what."""

    folder: Path
    manifest: dict[str, Any]
    source: Source
    graphs: FloatGraphs | None = None
    """the float graphs that an onnx bundle was made from"""
    edge: EdgeCode | None = None
    """None: the edge's stage is left out"""
    track: Track = silent
    costs: bool = False
    """whether bytes and times are measured, which the report alone shows"""

    def bundle_stage(self, encoder: str) -> str:
        """What a bundle's own encoder is called in `quality.parity`: by its precision, or that the engine runs it."""
        facts = self.manifest[encoder]
        return facts.get("precision", Precision.INT8.value) if facts["runtime"] == ONNX else ENGINE_WEIGHTS


@dataclass(frozen=True)
class EmbeddedPhotos:
    """Photos and their embeddings [n, dim] by each variant: "float", "int8" (the bundle's) and "edge"."""

    photos: PhotoList
    rows: dict[str, np.ndarray]
    cosines: dict[str, np.ndarray]
    """[n] to PyTorch's, by stage"""
    edge: EdgeEmbeddings | None


@dataclass(frozen=True)
class ComparedTexts:
    """What is known of the texts; of an image-only bundle nothing."""

    compared: Compared | None = None
    token_ids: list[list[int]] = field(default_factory=list)
    """the reference's"""
    token_ids_differ: int | None = None
    """texts whose token ids at the edge are others; None: not measured"""
    edge: EdgeEmbeddings | None = None


def embed_photos(subject: Subject, photos: PhotoList, pixels: np.ndarray) -> EmbeddedPhotos:
    """The embeddings of a list by every stage; the edge gets the files, all others the pixel values."""
    folder, manifest, track = subject.folder, subject.manifest, subject.track
    reference = float_image_encoder(subject.source, track)(pixels)
    bundle = bundle_image_encoder(folder, manifest, track)(pixels)
    by_stage = {FLOAT_GRAPH: graph_image_encoder(subject.graphs.image, track)(pixels)} if subject.graphs else {}
    by_stage[subject.bundle_stage("image")] = bundle
    rows = {"float": reference, "int8": bundle}
    edge = edge_images(subject.edge, folder, photos.files, track) if subject.edge else None
    if edge:
        by_stage[EDGE] = rows[EDGE] = edge.embeddings
    return EmbeddedPhotos(photos, rows, {stage: cosines(reference, made) for stage, made in by_stage.items()}, edge)


def compare_texts(subject: Subject, texts: Sequence[str]) -> ComparedTexts:
    """The text encoders on these texts; of a bundle without one nothing."""
    if subject.manifest["text"] is None:
        return ComparedTexts()
    source, track = subject.source, subject.track
    stages: dict[str, EncodeTexts] = {}
    if subject.graphs:
        stages[FLOAT_GRAPH] = graph_text_encoder(
            subject.graphs.text, source.text.tokenizer, track, subject.graphs.padding
        )
    stages[subject.bundle_stage("text")] = bundle_text_encoder(subject.folder, subject.manifest, track)
    reference = float_text_encoder(source, track)(texts)
    compared = {stage: cosines(reference, encode_texts(texts)) for stage, encode_texts in stages.items()}
    ids = source.text.tokenizer.encode(texts)
    if subject.edge is None:
        return ComparedTexts(Compared("texts", compared), ids)
    edge = edge_texts(subject.edge, subject.folder, texts, track)
    compared[EDGE] = cosines(reference, edge.embeddings)
    differ = sum(theirs != ours for theirs, ours in zip(edge.token_ids, ids, strict=True))
    return ComparedTexts(Compared("texts", compared), ids, differ, edge)


def cosines(reference: np.ndarray, embeddings: np.ndarray) -> np.ndarray:
    """[n], row by row; both [n, dim], unit rows."""
    return (reference.astype(np.float64) * embeddings).sum(axis=1)
