"""The application that each command adds itself to, and how a failure looks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer
from rich.console import Console
from typer.core import TyperGroup

from ..disk import is_full
from ..errors import ExportError

STOPPED = 130
"""the exit code of what Ctrl-C ended, as shells have it"""


@contextmanager
def failing_clearly() -> Iterator[None]:
    """What a user can mend ends with a message and exit code 1, Ctrl-C with a line and 130; anything else is a bug and
    keeps its traceback."""
    try:
        yield
    except KeyboardInterrupt as stop:
        console.print(f"stopped: {stop}" if str(stop) else "stopped: nothing was left half-written", markup=False)
        raise typer.Exit(STOPPED) from stop
    except typer.Exit:  # of a block within
        raise
    except (ExportError, FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError) as error:
        fail(error)
    except Exception as error:
        if not is_full(error):
            raise
        fail(error, "the disk is full: ")


def fail(error: Exception, what: str = "") -> None:
    """Ends the command."""
    console.print("[bold red]failed:[/]", end=" ")
    console.print(f"{what}{error}", markup=False, highlight=False)
    raise typer.Exit(1) from error


class Commands(TyperGroup):
    """All commands: their imports, too, can be stopped, and fail."""

    def invoke(self, ctx: Any) -> Any:
        with failing_clearly():
            return super().invoke(ctx)


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_show_locals=False,  # a key may be among them
)
console = Console()
