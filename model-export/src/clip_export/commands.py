"""What the commands do. Apart from cli.py, so that `--help` need not wait for PyTorch to load."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import Progress

from .accuracy import zero_shot_accuracy
from .bundle import BundleFacts, LabelTexts, make_label_set, replacing, write_bundle
from .bundle_encoders import (
    ENGINE,
    ONNX,
    EngineEncoders,
    FloatGraphs,
    Pack,
    bundle_text_encoder,
    exact,
    has_graphs,
    write_float_graphs,
)
from .calibration_data import picture_data, text_data
from .encoders import float_image_encoder, float_text_encoder
from .engine_architecture import ArchitectureError
from .engine_calibration import Goal, calibrate
from .engine_weights import Tensors, Tower
from .errors import ExportError
from .golden import write_golden
from .label_set import LabelSetError, embed_labels, fill_template, read_lines, write_label_set
from .manifest import read_manifest, write_manifest
from .photo_list import PhotoList, PhotoListError, load_pixels, read_photo_list
from .progress import Track, bar
from .report import accuracy_table, calibration_line, parity_table, template_table
from .sensitivity import most_sensitive
from .source import Source, load_source
from .tokenizer import encode
from .tolerance import Tolerance
from .verify import ORDINARY_TEXTS, check_quality, measure_quality, noise

SAMPLES = 16
"""photos of each list, and prompts of each label set, by which layers are chosen to stay float"""


@dataclass(frozen=True)
class ExportOptions:
    """How to export: for which runtime, and how exactly."""

    runtime: str | None = None
    """"engine" or "onnx"; None: the engine for what it can run"""
    keep_float: int = 0
    """onnx: how many layers of each encoder stay float32"""
    limit: Tolerance = field(default_factory=Tolerance)
    calibrate: Path | None = None
    """engine: a folder of pictures by which fast products are chosen; None: all are exact"""
    goal: Goal = field(default_factory=Goal)


def export_bundle(
    console: Console,
    checkpoint: Source,
    facts: BundleFacts,
    out: Path,
    photos: Sequence[PhotoList],
    options: ExportOptions,
) -> None:
    """Writes a verified bundle to `out`; on any failure `out` stays as it was."""
    runtime = options.runtime or default_runtime(console, checkpoint)
    check_options(runtime, options)
    with tempfile.TemporaryDirectory() as scratch, replacing(out) as folder:
        graphs = None
        if runtime == ONNX:
            with console.status("float graphs"):
                graphs = write_float_graphs(checkpoint, Path(scratch))
            graphs = keeping_float(graphs, checkpoint, facts, photos, options.keep_float)
        encoders = graphs or EngineEncoders(checkpoint, choose_packing(console, checkpoint, facts, options))
        manifest = write_bundle(folder, checkpoint, encoders, facts, bar)
        verify_into(console, folder, manifest, checkpoint, graphs, photos, options.limit)
    console.print(f"{out}: {facts.id}, revision {read_manifest(out)['revision'][:12]}")


def check_options(runtime: str, options: ExportOptions) -> None:
    """Refuses what only the other runtime has."""
    if runtime == ENGINE and options.keep_float:
        raise ExportError("--keep-float is for --runtime onnx: the engine's linears are all int8")
    if runtime == ONNX and options.calibrate:
        raise ExportError("--calibrate is for --runtime engine: onnxruntime has no fast product to choose")


def choose_packing(console: Console, checkpoint: Source, facts: BundleFacts, options: ExportOptions) -> Pack:
    """Exact, or calibrated by the pictures and texts at hand: then a line for each encoder says what was reached."""
    if options.calibrate is None:
        return exact
    data = {"image": picture_data(checkpoint, options.calibrate, bar)}
    if checkpoint.text:
        data["text"] = text_data(checkpoint, facts)

    def calibrated(name: str, tower: Tower, track: Track) -> tuple[Tensors, list[str]]:
        made = calibrate(tower, data[name], options.goal, track)
        console.print(calibration_line(name, made, options.goal), markup=False, highlight=False, soft_wrap=True)
        return made.tensors, made.fast

    return calibrated


def default_runtime(console: Console, checkpoint: Source) -> str:
    """The engine, unless it cannot run the checkpoint's encoders: then onnxruntime-web, and a line says why.

    Raises ArchitectureError if neither can.
    """
    try:
        EngineEncoders(checkpoint).architectures()
    except ArchitectureError as error:
        if not has_graphs(checkpoint):
            raise
        console.print(f"--runtime onnx, for the engine cannot run this: {error}", markup=False, highlight=False)
        return ONNX
    return ENGINE


def keeping_float(
    graphs: FloatGraphs, checkpoint: Source, facts: BundleFacts, photos: Sequence[PhotoList], count: int
) -> FloatGraphs:
    """Chooses the `count` layers of each encoder that stay float, by the first photos and prompts at hand."""
    if count <= 0:
        return graphs
    few = [replace(item, files=item.files[:SAMPLES], labels=item.labels[:SAMPLES]) for item in photos]
    pixels = [load_pixels(item, checkpoint.preprocessing) for item in few] or [noise(checkpoint.image_size)]
    images = [{"pixel_values": row[None]} for row in np.concatenate(pixels)]
    graphs = replace(graphs, keep_image=tuple(most_sensitive(graphs.image, images, count, bar)))
    if not checkpoint.text:
        return graphs
    prompts = [fill_template(made.templates[0], label) for made in facts.label_sets for label in made.labels[:SAMPLES]]
    ids = [encode(text, checkpoint.text.context_length) for text in [*prompts, *ORDINARY_TEXTS]]
    texts = [{"input_ids": np.array([row], np.int32)} for row in ids]
    return replace(graphs, keep_text=tuple(most_sensitive(graphs.text, texts, count, bar)))


def verify_bundle(
    console: Console,
    bundle: Path,
    source: str,
    photos: Sequence[PhotoList],
    limit: Tolerance,
    weights: Path | None = None,
) -> None:
    """Measures a bundle against its checkpoint and writes `quality`."""
    manifest = read_manifest(bundle)
    checkpoint = load_source(source, checkpoint=weights, image_only=manifest["text"] is None)
    runtimes = [manifest[name]["runtime"] for name in ("image", "text") if manifest[name]]
    with tempfile.TemporaryDirectory() as scratch:
        graphs = None
        if ONNX in runtimes:
            with console.status("float graphs"):
                graphs = write_float_graphs(checkpoint, Path(scratch))
        verify_into(console, bundle, manifest, checkpoint, graphs, photos, limit)


def verify_into(
    console: Console,
    folder: Path,
    manifest: dict[str, Any],
    checkpoint: Source,
    graphs: FloatGraphs | None,
    photos: Sequence[PhotoList],
    limit: Tolerance,
) -> None:
    """Measures, prints, checks, and writes `quality` into the manifest only if all is within the tolerance."""
    quality = measure_quality(folder, manifest, checkpoint, graphs, photos, bar)
    console.print(parity_table(quality, limit))
    if quality["accuracy"]:
        console.print(accuracy_table(quality, limit))
    check_quality(quality, limit)
    write_manifest(folder, {**manifest, "quality": quality})


def write_labels(console: Console, bundle: Path, texts: LabelTexts, out: Path) -> None:
    """Embeds a label set with the bundle's text encoder."""
    manifest = read_manifest(bundle)
    label_set = make_label_set(manifest, texts, bundle_text_encoder(bundle, manifest, bar))
    write_label_set(label_set, out)
    console.print(f"{out}: {len(label_set.labels)} labels for {manifest['id']}")


def print_templates(
    console: Console, checkpoint: Source, labels: Path, templates: Sequence[Path], photos: PhotoList
) -> None:
    """Zero-shot accuracy of each template file, in float."""
    names = read_lines(labels)
    embeddings = float_image_encoder(checkpoint, bar)(load_pixels(photos, checkpoint.preprocessing, bar))
    encode_texts = float_text_encoder(checkpoint, bar)
    results = {}
    for file in templates:
        lines = read_lines(file)
        texts = embed_labels(names, lines, encode_texts)
        scale, bias = checkpoint.logit_scale, checkpoint.logit_bias
        accuracy = zero_shot_accuracy(embeddings, texts, scale, names, photos.labels, bias)
        results[file.stem] = (len(lines), accuracy)
    console.print(template_table(results))


def write_golden_files(console: Console, source: Path, samples: Path, out: Path) -> None:
    """Fixtures and golden files for the TypeScript tests."""
    with Progress(console=console) as progress:
        write_golden(source, out / "golden", samples, out, progress)


def read_photo_lists(images: Sequence[Path], folders: Sequence[Path]) -> list[PhotoList]:
    """Pairs each list with its folder."""
    if len(images) != len(folders):
        raise PhotoListError(f"{len(images)} --images but {len(folders)} --image-folder: give one folder to each list")
    return [read_photo_list(tsv, folder) for tsv, folder in zip(images, folders, strict=True)]


def parse_labels(text: str) -> LabelTexts:
    """NAME=labels.txt:templates.txt"""
    name, equals, files = text.partition("=")
    labels, colon, templates = files.rpartition(":")
    if not (equals and colon):
        raise LabelSetError(f"--labels {text!r} is not NAME=labels.txt:templates.txt")
    return LabelTexts(name, read_lines(Path(labels)), read_lines(Path(templates)))
