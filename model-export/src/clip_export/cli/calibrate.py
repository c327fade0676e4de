"""`clip-export calibrate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..precision import Arithmetic
from .app import app, console, failing_clearly
from .options import Bundle, Checkpoint, Device, EncoderSource, Strict


@app.command()
def calibrate(
    bundle: Bundle,
    label_set: Annotated[Path, typer.Argument(help="What `labels` made for it.", exists=True, dir_okay=False)],
    images: Annotated[Path, typer.Option(help="Photo list: lines of file, tab, label.", exists=True)],
    image_folder: Annotated[Path, typer.Option(help="Where the photos lie.", exists=True)],
    false_positive_rate: Annotated[
        float,
        typer.Option(
            min=0.0001, max=0.5, help='The share of pictures of the labels that may be answered "none of these".'
        ),
    ] = 0.05,
    background: Annotated[
        Path | None,
        typer.Option(
            help="Texts that no picture is about, one a line: they compete with the labels.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    foreign: Annotated[
        list[Path], typer.Option(help="Photo list of other things, to measure with. May be repeated.")
    ] = [],
    foreign_folder: Annotated[
        list[Path], typer.Option(help="Where the photos of the foreign list at the same place lie.")
    ] = [],
    source: EncoderSource = None,
    checkpoint: Checkpoint = None,
    device: Device = None,
    precision: Arithmetic = Arithmetic.FLOAT32,
    out: Annotated[
        Path | None, typer.Option(help="Where to write it; without it the set is replaced.", dir_okay=False)
    ] = None,
    strict: Strict = False,
) -> None:
    """Calibrate a label set by labelled photos: its scores, and when the answer is "none of these".

    Example: `clip-export calibrate ../public/models/tinyclip birds.safetensors --images photos.tsv
    --image-folder photos --background templates/background.txt --false-positive-rate 0.05`
    """
    from ..commands.calibrate import CalibrateOptions, calibrate_label_set
    from ..commands.labels import LabelOptions
    from ..devices import find_device
    from ..photo_list import read_photo_list, read_photo_lists

    with failing_clearly():
        photos = read_photo_list(images, image_folder, strict)
        others = read_photo_lists(foreign, foreign_folder, strict)
        encoder = LabelOptions(find_device(device), source, checkpoint, precision.value)
        options = CalibrateOptions(false_positive_rate, encoder, background)
        calibrate_label_set(console, label_set, bundle, photos, others, options, out or label_set)
