"""`clip-export golden`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .app import app, console, failing_clearly


@app.command()
def golden(
    source: Annotated[Path, typer.Argument(help="Folder of a Hugging Face CLIPModel.", exists=True, file_okay=False)],
    samples: Annotated[Path, typer.Option(help="Folder of the sample photos.", exists=True, file_okay=False)],
    out: Annotated[Path, typer.Option(help="The fixtures' folder: images, bad and golden are written into it.")],
) -> None:
    """Write the golden files that the TypeScript tests compare with, from the reference implementations.

    Example: `clip-export golden ../checkpoints/tiny-64 --samples ../samples --out ../test/fixtures`
    """
    from ..commands.golden import write_golden_files

    with failing_clearly():
        write_golden_files(console, source, samples, out)
