"""`python -m clip_export.golden --model DIR --samples samples --out test/fixtures`"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress

from .writer import write_golden


def main(
    model: Annotated[Path, typer.Option(help="Folder of a Hugging Face CLIPModel.", exists=True, file_okay=False)],
    samples: Annotated[Path, typer.Option(help="Folder of the sample photos.", exists=True, file_okay=False)],
    out: Annotated[Path, typer.Option(help="Fixture folder; images, bad and golden are written into it.")],
) -> None:
    """Regenerate the test fixtures from the reference implementations."""
    with Progress() as progress:
        write_golden(model, out / "golden", samples, out, progress)


typer.run(main)
