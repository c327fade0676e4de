"""`clip-export compare-templates`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .app import app, console, failing_clearly
from .options import (
    TEMPLATES,
    Checkpoint,
    Device,
    LabelFile,
    SourceName,
    Strict,
)


@app.command()
def compare_templates(
    source: SourceName,
    labels: LabelFile,
    templates: Annotated[list[Path], typer.Option(help=f"{TEMPLATES} Repeat it for each file.", exists=True)],
    images: Annotated[Path, typer.Option(help="Photo list: lines of file, tab, label.", exists=True)],
    image_folder: Annotated[Path, typer.Option(help="Where the photos lie.", exists=True)],
    checkpoint: Checkpoint = None,
    device: Device = None,
    strict: Strict = False,
) -> None:
    """Measure which templates suit a checkpoint: zero-shot accuracy of each file's ensemble, in float.

    Example: `clip-export compare-templates wkcn/TinyCLIP-ViT-8M-16-Text-3M-YFCC15M --labels label-sets/cifar-10.txt
    --templates templates/a-photo-of-a.txt --templates templates/cifar-18.txt
    --images photos.tsv --image-folder photos`
    """
    from ..commands.templates import print_templates
    from ..devices import find_device
    from ..photo_list import read_photo_list
    from ..sources.source import load_source

    with failing_clearly():
        photos = read_photo_list(images, image_folder, strict)
        loaded = load_source(source, checkpoint=checkpoint, device=find_device(device))
        print_templates(console, loaded, labels, templates, photos)
