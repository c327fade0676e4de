"""The application that each command adds itself to, and how a failure looks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import typer
from rich.console import Console

from ..errors import ExportError

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode="markdown")
console = Console()


@contextmanager
def failing_clearly() -> Iterator[None]:
    """What a user can mend ends with a message and exit code 1; anything else is a bug and keeps its traceback."""
    try:
        yield
    except (ExportError, FileNotFoundError) as error:
        console.print("[bold red]failed:[/]", end=" ")
        console.print(str(error), markup=False, highlight=False)
        raise typer.Exit(1) from error
