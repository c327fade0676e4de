"""`clip-export labels`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .app import app, console, failing_clearly
from .options import (
    TEMPLATES,
    Bundle,
    LabelFile,
)


@app.command()
def labels(
    bundle: Bundle,
    labels: LabelFile,
    templates: Annotated[Path, typer.Option(help=TEMPLATES, exists=True)],
    name: Annotated[str, typer.Option(help="The set's name in the API.")],
    out: Annotated[Path, typer.Option(help="The safetensors file.")],
) -> None:
    """Embed a label set with a bundle's text encoder, to be sent to `PUT /v1/label-sets/NAME`.

    Example: `clip-export labels ../public/models/tinyclip --labels birds.txt --templates templates/a-photo-of-a.txt
    --name birds --out birds.safetensors`
    """
    from ..bundle import LabelTexts
    from ..commands.labels import write_labels
    from ..label_set import read_lines

    with failing_clearly():
        texts = LabelTexts(name, read_lines(labels), read_lines(templates))
        write_labels(console, bundle, texts, out)
