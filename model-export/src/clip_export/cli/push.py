"""`clip-export push`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .app import app, console, failing_clearly


@app.command()
def push(
    sets: Annotated[list[Path], typer.Argument(help="Files of clip-export labels.", exists=True, dir_okay=False)],
    url: Annotated[str, typer.Option(help="The deployment, as https://edgeclip.example.workers.dev.")],
    key: Annotated[
        str | None,
        typer.Option(
            envvar="EDGECLIP_KEY",
            show_default=False,
            help="If the deployment asks for one: sent as Authorization: Bearer KEY. Better in the environment.",
        ),
    ] = None,
) -> None:
    """Upload label sets to a deployment. What is there already is skipped, so an upload that broke off goes on.

    Example: `clip-export push birds.safetensors --url https://edgeclip.example.workers.dev`
    """
    from ..commands.push import push_label_sets
    from ..deployment import Deployment

    with failing_clearly():
        deployment = Deployment(url, key)
        try:
            push_label_sets(console, deployment, sets)
        finally:
            deployment.close()
