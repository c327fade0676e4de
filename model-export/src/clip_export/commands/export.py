"""What `export` does."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
from rich.console import Console

from ..atomic import replacing
from ..bundle import BundleFacts, write_bundle
from ..bundle_encoders import ENGINE, ONNX, EngineEncoders, FloatGraphs, Pack, exact, write_float_graphs
from ..calibration_data import picture_data, text_data
from ..disk import check_space
from ..encoders import filled_up
from ..engine.architecture import ArchitectureError
from ..engine.calibration import Goal, calibrate
from ..engine.resnet import RESNET
from ..engine.weights import Tensors, Tower
from ..errors import ExportError
from ..isolate_fit import check_bundle, check_source, expected_files
from ..label_file import read_label_texts
from ..label_texts import LabelSetError, LabelTexts
from ..manifest import R2, read_manifest
from ..photo_list import PhotoList, left_out_line, load_photos
from ..precision import Precision
from ..progress import Track, bar
from ..report import calibration_line
from ..request import is_done, request_sha256
from ..sensitivity import most_sensitive
from ..sources.source import Source
from ..verify import ORDINARY_TEXTS, noise
from .verify import Checks, verify_into

ENGINE_IS_INT8 = (
    "its products are of int8 weights and activations of 14 to 16 bits. Of tiny-64's 3,000 photos the worst has a "
    "cosine of 0.9997 to PyTorch in float32"
)

ASSETS_FOLDER = "public"
"""beside wrangler.toml: Wrangler uploads what is in it"""
SAMPLES = 16
"""photos of each list, and prompts of each label set, by which layers are chosen to stay float"""


@dataclass(frozen=True)
class ExportOptions:
    """How to export: for which runtime, and how exactly."""

    runtime: str | None = None
    """"engine" or "onnx"; None: the engine for what it can run"""
    precision: Precision = Precision.INT8
    """onnx: of the weights"""
    keep_float: int = 0
    """onnx, int8: how many layers of each encoder stay float32"""
    checks: Checks = field(default_factory=Checks)
    calibrate: Path | None = None
    """engine: a folder of pictures by which fast products are chosen; None: all are exact"""
    goal: Goal = field(default_factory=Goal)
    strict: bool = False
    """whether one picture to calibrate by that cannot be read is an error"""
    allow_too_large: bool = False
    """for a workerd with more memory than an isolate of Cloudflare's"""
    force: bool = False
    """make it again, though it is there"""


def export_bundle(
    console: Console,
    checkpoint: Source,
    facts: BundleFacts,
    out: Path,
    photos: Sequence[PhotoList],
    options: ExportOptions,
) -> None:
    """Writes a verified bundle to `out`; on any failure `out` stays as it was."""
    check_texts(checkpoint)
    runtime = options.runtime or default_runtime(console, checkpoint, options.precision)
    check_options(runtime, options)
    check_place(out, facts.storage)
    asked = {
        **asdict(options),
        "force": None,
        "calibrate": None,
        "checks": {"limit": asdict(options.checks.limit), "edge": options.checks.edge},
        "runtime": runtime,
    }
    request = request_sha256(checkpoint, facts, photos, asked, options.calibrate)
    if not (options.force or options.checks.report) and is_done(out, request):
        console.print(f"{out} is done: it was made from this source with these options (--force makes it again)")
        return
    with tempfile.TemporaryDirectory() as scratch, replacing(out) as folder:
        graphs = None
        if runtime == ONNX:
            with console.status("float graphs"):
                graphs = write_float_graphs(checkpoint, Path(scratch), options.precision)
        expected = expected_files(checkpoint, graphs)
        check_space(out.parent, sum(expected.values()), "the bundle")
        if not options.allow_too_large:
            check_source(checkpoint, runtime, expected, options.precision)
        if graphs:
            graphs = keeping_float(graphs, checkpoint, facts, photos, options.keep_float)
        encoders = graphs or EngineEncoders(checkpoint, choose_packing(console, checkpoint, facts, options))
        manifest = {**write_bundle(folder, checkpoint, encoders, facts, bar), "request": request}
        check_bundle(console, manifest, options.allow_too_large)
        verify_into(console, folder, manifest, checkpoint, graphs, photos, options.checks)
    console.print(f"{out}: {facts.id}, revision {read_manifest(out)['revision'][:12]}")


def check_place(out: Path, storage: str) -> None:
    """Raises ExportError for a bundle of R2 where Wrangler would deploy it as assets: it has no parts of 25 MiB."""
    within = next((path for path in out.absolute().parents if (path.parent / "wrangler.toml").is_file()), None)
    if storage == R2 and within is not None and within.name == ASSETS_FOLDER:
        raise ExportError(
            f"--storage r2: {out} would be deployed as static assets; give --out a folder outside {ASSETS_FOLDER}/"
        )


def check_options(runtime: str, options: ExportOptions) -> None:
    """Refuses what only the other runtime has."""
    if runtime == ENGINE and options.keep_float:
        raise ExportError("--keep-float is for --runtime onnx: the engine's linears are all int8")
    if runtime == ENGINE and options.precision != Precision.INT8:
        raise ExportError(f"--precision {options.precision} is for --runtime onnx: {ENGINE_IS_INT8}")
    if options.keep_float and options.precision != Precision.INT8:
        raise ExportError(f"--keep-float is for --precision int8: with {options.precision} no layer is int8")
    if runtime == ONNX and options.calibrate:
        raise ExportError("--calibrate is for --runtime engine: onnxruntime has no fast product to choose")


def check_texts(checkpoint: Source) -> None:
    """Refuses a text encoder whose tokenizer the edge cannot have."""
    problem = checkpoint.text and checkpoint.text.edge_problem()
    if problem:
        raise ExportError(
            f"{checkpoint.name}: its texts need {problem}. With --image-only its image encoder is exported alone."
        )


def choose_packing(console: Console, checkpoint: Source, facts: BundleFacts, options: ExportOptions) -> Pack:
    """Exact, or calibrated by the pictures and texts at hand: then a line for each encoder says what was reached."""
    if options.calibrate is None:
        return exact
    if checkpoint.image.architecture().get("kind") == RESNET:
        raise ExportError("--calibrate is for Transformers: the products of a ResNet are all exact. Leave it out")
    pictures, photos = picture_data(checkpoint, options.calibrate, bar, options.strict)
    if photos.left_out:
        console.print(left_out_line(photos), markup=False, highlight=False, soft_wrap=True)
    data = {"image": pictures}
    if checkpoint.text:
        data["text"] = text_data(checkpoint, facts)

    def calibrated(name: str, tower: Tower, track: Track) -> tuple[Tensors, list[str]]:
        made = calibrate(tower, data[name], options.goal, track)
        console.print(calibration_line(name, made, options.goal), markup=False, highlight=False, soft_wrap=True)
        return made.tensors, made.fast

    return calibrated


def default_runtime(console: Console, checkpoint: Source, precision: Precision) -> str:
    """The engine, unless it has not the precision or cannot run the checkpoint's encoders: then onnxruntime-web, and a
    line says why."""
    why = f"the engine has no {precision}: {ENGINE_IS_INT8}"
    if precision == Precision.INT8:
        try:
            EngineEncoders(checkpoint).architectures()
            return ENGINE
        except ArchitectureError as error:
            why = f"the engine cannot run this: {error}"
    console.print(f"--runtime onnx, for {why}", markup=False, highlight=False, soft_wrap=True)
    return ONNX


def keeping_float(
    graphs: FloatGraphs, checkpoint: Source, facts: BundleFacts, photos: Sequence[PhotoList], count: int
) -> FloatGraphs:
    """Chooses the `count` layers of each encoder that stay float, by the first photos and prompts at hand."""
    if count <= 0:
        return graphs
    few = [replace(item, files=item.files[:SAMPLES], labels=item.labels[:SAMPLES]) for item in photos]
    pixels = [load_photos(item, checkpoint.preprocessing)[1] for item in few] or [noise(checkpoint.image_size)]
    images = [{"pixel_values": row[None]} for row in np.concatenate(pixels)]
    graphs = replace(graphs, keep_image=tuple(most_sensitive(graphs.image, images, count, bar)))
    if not checkpoint.text:
        return graphs
    prompts = [made.prompts_of(label)[0] for made in facts.label_sets for label in made.labels[:SAMPLES]]
    ids = checkpoint.text.tokenizer.encode([*prompts, *ORDINARY_TEXTS])
    texts = [{"input_ids": np.array([filled_up(row, graphs.padding)], np.int32)} for row in ids]
    return replace(graphs, keep_text=tuple(most_sensitive(graphs.text, texts, count, bar)))


def parse_labels(text: str) -> LabelTexts:
    """NAME=labels:templates; the templates may be left out."""
    name, equals, files = text.partition("=")
    labels, colon, templates = files.rpartition(":")
    if not (equals and name and files) or files.endswith(":"):
        raise LabelSetError(f"--labels {text!r} is not NAME=labels.txt:templates.txt")
    return read_label_texts(name, Path(labels if colon else files), Path(templates) if colon else None)
