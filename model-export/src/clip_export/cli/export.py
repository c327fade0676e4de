"""`clip-export export`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ..errors import ExportError
from ..precision import Precision
from ..tolerance import Tolerance
from .app import app, console, failing_clearly
from .options import (
    Checkpoint,
    Device,
    Edge,
    ImageFolder,
    Images,
    MaxLoss,
    MinCosine,
    Report,
    SourceName,
    Strict,
    tolerance,
)


class Storage(StrEnum):
    """Where a bundle's files will lie."""

    ASSETS = "assets"
    R2 = "r2"


class Runtime(StrEnum):
    """What runs a bundle's encoders in the Worker."""

    ENGINE = "engine"
    ONNX = "onnx"


@app.command()
def export(
    source: SourceName,
    id: Annotated[str, typer.Option(help="The model's id in the API.")],
    out: Annotated[Path, typer.Option(help="The bundle's folder.")],
    title: Annotated[str, typer.Option(help="For people.")] = "",
    license: Annotated[str, typer.Option(help="Of the weights.")] = "unknown",
    source_name: Annotated[str, typer.Option(help="What to call the source in the manifest.")] = "",
    checkpoint: Checkpoint = None,
    image_only: Annotated[
        bool,
        typer.Option(
            "--image-only",
            help="Without the text encoder: label sets are then made by labels --source. For tokenizers that the edge "
            "does not have, and to save memory.",
        ),
    ] = False,
    labels: Annotated[
        list[str],
        typer.Option(help="NAME=labels.txt:templates.txt, of the kinds that labels takes. The first is the default."),
    ] = [],
    images: Images = [],
    image_folder: ImageFolder = [],
    runtime: Annotated[
        Runtime | None,
        typer.Option(
            help="What runs the encoders: our engine, or onnxruntime-web. "
            "Without it the engine, and onnxruntime-web for what the engine cannot run."
        ),
    ] = None,
    precision: Annotated[
        Precision, typer.Option(help="onnx: of the weights. The engine's are int8, its activations 14 to 16 bits.")
    ] = Precision.INT8,
    calibrate: Annotated[
        Path | None,
        typer.Option(
            help="engine: a folder of some hundred pictures such as will come, unlabelled. By them the linears are "
            "chosen that take the fast product, 1.6 times as fast as the exact one; without them all are exact.",
            exists=True,
            file_okay=False,
        ),
    ] = None,
    parity: Annotated[
        float | None,
        typer.Option(min=0.9, max=0.99999, help="The mean cosine to float that --calibrate keeps; without it 0.9999."),
    ] = None,
    keep_float: Annotated[int, typer.Option(min=0, help="onnx, int8: layers of each encoder to leave in float32.")] = 0,
    min_cosine: MinCosine = None,
    max_top1_loss: MaxLoss = Tolerance.top1_loss,
    device: Device = None,
    storage: Annotated[
        Storage,
        typer.Option(help="Static assets, in parts of 25 MiB, or an R2 bucket, whole: then outside public/."),
    ] = Storage.ASSETS,
    allow_too_large: Annotated[
        bool,
        typer.Option("--allow-too-large", help="Though an isolate of 128 MiB could not load it: for your own workerd."),
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Make it again, though it is done.")] = False,
    edge: Edge = True,
    report: Report = None,
    strict: Strict = False,
) -> None:
    """Turn a CLIP checkpoint into a model bundle, and verify it; nothing is written if it fails.

    Example: `clip-export export wkcn/TinyCLIP-ViT-8M-16-Text-3M-YFCC15M --id tinyclip --out ../public/models/tinyclip
    --labels things=label-sets/imagenet-200.txt:templates/imagenet-80.txt`

    open_clip: `clip-export export open_clip:ViT-B-32/laion2b_s34b_b79k --id vit-b-32 --out ../public/models/vit-b-32`

    With weights of your own: `clip-export export open_clip:ViT-B-32 --checkpoint epoch_32.pt …`
    """
    from ..bundle import BundleFacts
    from ..commands.export import ExportOptions, export_bundle, parse_labels
    from ..commands.verify import Checks
    from ..devices import find_device
    from ..engine.calibration import Goal
    from ..photo_list import read_photo_lists
    from ..sources.source import load_source

    with failing_clearly():
        where = find_device(device)
        photos = read_photo_lists(images, image_folder, strict)
        sets = [parse_labels(text) for text in labels]
        facts = BundleFacts(id, title or id, license, sets, storage.value)
        if parity is not None and calibrate is None:
            raise ExportError("--parity is what --calibrate keeps: give a folder of pictures to it")
        if image_only and labels:
            raise ExportError("--labels are embedded by the text encoder, which --image-only leaves out")
        goal = Goal() if parity is None else Goal(parity)
        checks = Checks(tolerance(min_cosine, max_top1_loss, goal.worst), edge, report)
        options = ExportOptions(runtime, precision, keep_float, checks, calibrate, goal, strict, allow_too_large, force)
        called = source_name or None
        loaded = load_source(source, called, checkpoint=checkpoint, image_only=image_only, device=where)
        export_bundle(console, loaded, facts, out, photos, options)
