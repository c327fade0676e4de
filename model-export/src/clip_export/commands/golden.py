"""What `golden` does."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from ..golden import write_golden


def write_golden_files(console: Console, source: Path, samples: Path, out: Path) -> None:
    """Fixtures and golden files for the TypeScript tests."""
    with Progress(console=console) as progress:
        write_golden(source, out / "golden", samples, out, progress)
