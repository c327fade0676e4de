"""`clip-export publish`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..errors import ExportError
from .app import app, console, failing_clearly
from .options import Bundle


@app.command()
def publish(
    bundle: Bundle,
    bucket: Annotated[str | None, typer.Option(help="R2 bucket. Without it the bundle is looked at as assets.")] = None,
    local: Annotated[
        bool, typer.Option("--local/--remote", help="The bucket of wrangler dev on this machine, or Cloudflare's.")
    ] = False,
    persist_to: Annotated[Path | None, typer.Option(help="With --local: the folder that wrangler dev has.")] = None,
    project: Annotated[
        Path | None,
        typer.Option(
            help="Folder of wrangler.toml; without it the nearest above the bundle or the current folder.",
            exists=True,
            file_okay=False,
        ),
    ] = None,
) -> None:
    """Upload a bundle to R2 with Wrangler, its manifest last. Files that are there are skipped: what broke off goes on.

    Example: `clip-export publish ../models/vit-b-32 --bucket edgeclip-models`
    """
    from ..commands.publish import look_at_assets, publish_to_bucket
    from ..wrangler import Bucket, find_project

    with failing_clearly():
        if persist_to and not local:
            raise ExportError("--persist-to is where --local keeps the bucket")
        root = project or find_project(bundle)
        if bucket is None:
            look_at_assets(console, bundle, root)
            return
        where = ["--local"] if local else ["--remote"]
        if persist_to:
            where += ["--persist-to", str(persist_to.absolute())]
        publish_to_bucket(console, bundle, Bucket(bucket, root, tuple(where)))
