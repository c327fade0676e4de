"""Files and folders that are there whole or not at all: made beside their place and moved there at the end.

A run that is killed leaves what it had made beside; the next run for the same place clears it away.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from glob import escape
from pathlib import Path

from .disk import naming_full_disk
from .errors import BundleError

try:
    import fcntl
except ImportError:  # Windows: what a killed run left is then cleared away by hand
    fcntl = None

UNFINISHED, REPLACED = ".unfinished-", ".replaced-"
"""between a folder's name and a random one: what is made, and what was there before"""


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A path beside `path` to write to; it takes its place if the block ends well, and is removed if it does not.

    Raises DiskFullError.
    """
    unfinished = path.with_name(f"{path.name}.unfinished")
    try:
        with naming_full_disk(path.parent):  # within: how much is free is asked before it is removed
            yield unfinished
            unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """A new folder beside `target` that takes its place if the block ends well, and is removed if it does not.

    The old folder's Markdown (a model card) is carried over. Raises BundleError if `target` holds something else than
    a bundle, and DiskFullError.
    """
    if target.exists() and any(target.iterdir()) and not (target / "model.json").is_file():
        raise BundleError(f"{target} is not empty and no model bundle: it would be deleted")
    target.parent.mkdir(parents=True, exist_ok=True)
    clear_leftovers(target)
    folder = Path(tempfile.mkdtemp(prefix=f".{target.name}{UNFINISHED}", dir=target.parent))
    folder.chmod(0o755)
    try:
        with holding(folder), naming_full_disk(target.parent, Path(tempfile.gettempdir())):
            yield folder
            for card in target.glob("*.md"):
                shutil.copy2(card, folder / card.name)
            move(folder, target)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def move(folder: Path, target: Path) -> None:
    """Puts `folder` in the place of `target`. Between two renames there is neither: see `clear_leftovers`."""
    if not target.exists():
        folder.replace(target)
        return
    with holding(target):
        old = folder.with_name(folder.name.replace(UNFINISHED, REPLACED))
        target.replace(old)
        folder.replace(target)
        shutil.rmtree(old, ignore_errors=True)


def clear_leftovers(target: Path) -> None:
    """Removes what killed runs left beside `target`, not what another run is at work on. If a run was killed while it
    moved its folder, the old one is put back."""
    left = [path for kind in (REPLACED, UNFINISHED) for path in target.parent.glob(f".{escape(target.name)}{kind}*")]
    for path in left:
        with holding(path) as mine:
            if mine and REPLACED in path.name and not target.exists():
                path.replace(target)
            elif mine:
                shutil.rmtree(path, ignore_errors=True)


@contextmanager
def holding(folder: Path) -> Iterator[bool]:
    """A lock on a folder that ends with its process, however that ends. False if another has it, or there are none."""
    if fcntl is None:
        yield False
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        held = False
        with suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            held = True
        yield held
    finally:
        os.close(handle)
