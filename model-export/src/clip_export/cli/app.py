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
    """What a user can mend ends with a message and exit code 1, Ctrl-C with 130; anything else is a bug and keeps its
    traceback."""
    try:
        yield
    except (ExportError, OSError) as error:
        console.print("[bold red]failed:[/]", end=" ")
        console.print(said(error), markup=False, highlight=False)
        raise typer.Exit(1) from error
    except KeyboardInterrupt as error:
        console.print(f"stopped: {error}" if str(error) else "stopped", markup=False, highlight=False)
        raise typer.Exit(130) from error  # as a shell has it for SIGINT


def said(error: ExportError | OSError) -> str:
    """Of a full disk, a file that may not be read and the like: the file first."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error)
