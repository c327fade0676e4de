"""`clip-export prototypes`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..precision import Arithmetic
from .app import app, console, failing_clearly
from .options import TEMPLATES, Bundle, Checkpoint, Device, EncoderSource, Strict


@app.command()
def prototypes(
    bundle: Bundle,
    examples: Annotated[Path, typer.Option(help="A folder of pictures for each label.", exists=True, file_okay=False)],
    name: Annotated[str, typer.Option(help="The set's name in the API.")],
    out: Annotated[Path, typer.Option(help="The safetensors file.", dir_okay=False)],
    text_weight: Annotated[
        float, typer.Option(min=0, max=1, help="How much the label's text counts: 0 not at all, 0.5 as the pictures.")
    ] = 0,
    templates: Annotated[
        Path | None, typer.Option(help=f'{TEMPLATES} Without it "a photo of a {{}}."', exists=True, dir_okay=False)
    ] = None,
    source: EncoderSource = None,
    checkpoint: Checkpoint = None,
    device: Device = None,
    precision: Arithmetic = Arithmetic.FLOAT32,
    strict: Strict = False,
) -> None:
    """Make a label set of example pictures, some of each label: what has no name, or one that the model does not know.

    Example: `clip-export prototypes ../public/models/tinyclip --examples parts --text-weight 0.5 --name parts
    --out parts.safetensors`
    """
    from ..commands.labels import LabelOptions
    from ..commands.prototypes import PrototypeOptions, write_prototypes
    from ..devices import find_device
    from ..label_file import read_templates
    from ..label_texts import DEFAULT_TEMPLATES

    with failing_clearly():
        encoder = LabelOptions(find_device(device), source, checkpoint, precision.value)
        lines = read_templates(templates) if templates else DEFAULT_TEMPLATES
        options = PrototypeOptions(text_weight, lines, encoder, strict)
        write_prototypes(console, bundle, examples, name, out, options)
