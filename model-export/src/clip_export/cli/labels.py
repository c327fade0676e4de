"""`clip-export labels`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..precision import Arithmetic
from .app import app, console, failing_clearly
from .options import TEMPLATES, Bundle, Checkpoint, Device, EncoderSource, LabelFile


@app.command()
def labels(
    bundle: Bundle,
    labels: LabelFile,
    name: Annotated[str, typer.Option(help="The set's name in the API.")],
    out: Annotated[Path, typer.Option(help="The safetensors file.", dir_okay=False)],
    templates: Annotated[
        Path | None, typer.Option(help=f'{TEMPLATES} Without it "a photo of a {{}}."', exists=True, dir_okay=False)
    ] = None,
    synonyms: Annotated[
        bool,
        typer.Option(
            "--synonyms",
            help="The label file's prompts are other names of their label, for the templates; "
            "without it they are embedded as they are.",
        ),
    ] = False,
    source: EncoderSource = None,
    checkpoint: Checkpoint = None,
    device: Device = None,
    precision: Arithmetic = Arithmetic.FLOAT32,
    float16: Annotated[bool, typer.Option("--float16", help="Write half the bytes: rows of float16.")] = False,
) -> None:
    """Embed a label set, to be sent to `PUT /v1/label-sets/NAME`. Stopped, it goes on when it is run again.

    Example: `clip-export labels ../public/models/tinyclip --labels birds.csv --templates templates/a-photo-of-a.txt
    --name birds --out birds.safetensors`

    With the checkpoint's text encoder: `clip-export labels ../public/models/siglip --device cuda --precision bfloat16
    --source google/siglip-base-patch16-224 …`
    """
    from ..commands.labels import LabelOptions, write_labels
    from ..devices import find_device
    from ..label_file import read_label_texts

    with failing_clearly():
        texts = read_label_texts(name, labels, templates, synonyms)
        options = LabelOptions(find_device(device), source, checkpoint, precision.value, float16)
        write_labels(console, bundle, texts, out, options)
