"""What `push` does."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from rich.console import Console

from ..deployment import Deployment, DeploymentError
from ..errors import ExportError
from ..label_set import LabelSet, LabelSetError, read_label_set
from ..progress import bytes_bar

MOST_BYTES = 25 * 1024 * 1024
"""of a value in Workers KV"""


class PushError(ExportError):
    """Some of the files did not arrive."""


def push_label_sets(console: Console, deployment: Deployment, files: Sequence[Path]) -> None:
    """Uploads each file; those that are there in this version are left. A line for each says what became of it.

    Raises PushError at the end if one failed: the others are there all the same.
    """
    known: dict[str, dict[str, str]] = {}
    failed = 0
    for path in files:
        try:
            result = push(deployment, path, known)
        except ExportError as error:
            failed += 1
            result = f"failed: {error}"
        console.print(f"{path.name}: {result}", markup=False, highlight=False, soft_wrap=True)
    if failed:
        raise PushError(f"{failed} of {len(files)} label sets did not arrive; run it again, what is there is skipped")


def push(deployment: Deployment, path: Path, known: dict[str, dict[str, str]]) -> str:
    """What became of one file. `known`: by model, the versions that are there, asked for once."""
    label_set, content = read(path)
    version = hashlib.sha256(content).hexdigest()
    if label_set.model not in known:
        known[label_set.model] = deployment.versions(label_set.model)
    what = f"{len(label_set.labels)} labels for {label_set.model}, as {label_set.name!r}, version {version[:12]}"
    if known[label_set.model].get(label_set.name) == version:
        return f"is there already: {what}"
    made = deployment.put(label_set.name, label_set.model, content, partial(bytes_bar, path.name))
    if made.get("version") != version:
        raise DeploymentError(f"the deployment has version {made.get('version')!r}, this file is {version!r}")
    return f"pushed: {what}"


def read(path: Path) -> tuple[LabelSet, bytes]:
    """A label set that can be pushed, and its file. Raises LabelSetError."""
    label_set, content = read_label_set(path), path.read_bytes()
    if len(content) > MOST_BYTES:
        raise LabelSetError(f"{len(content)} bytes, Workers KV takes {MOST_BYTES}: split the set into several")
    return label_set, content
