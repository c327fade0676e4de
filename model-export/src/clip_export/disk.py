"""A full disk, told apart from other failures: the libraries that write files report it each in its own way."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import ExportError

MEBI = 1024 * 1024
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
"""no space, no quota, or `ulimit -f`"""
SAYINGS = ("No space left on device", "os error 28", "Disk quota exceeded", "File too large", "os error 27")
"""of libraries that do not raise an OSError: safetensors and onnxruntime"""
NEARLY_NOTHING = 64 * 1024
"""bytes; PyTorch's writer says only that a write failed: then so little is free"""


class DiskFullError(ExportError):
    """There is no room for what was to be written; the message has the folder and the numbers."""


@contextmanager
def naming_full_disk(*folders: Path) -> Iterator[None]:
    """What fails in the block for want of room is raised as DiskFullError, with what is free in each of `folders`."""
    try:
        yield
    except ExportError:
        raise
    except Exception as error:
        if not is_full(error, *folders):
            raise
        free = ", ".join(f"{mebi(free_bytes(folder))} are free in {folder}" for folder in folders)
        what = "a file may not grow further here (ulimit -f)" if says(error, errno.EFBIG) else "the disk is full"
        raise DiskFullError(f"{what}: {free}. Nothing was written; make room and run it again") from error


def check_space(folder: Path, needed: int, what: str) -> None:
    """Before the long work: raises DiskFullError if `folder` has not `needed` bytes for `what`."""
    free = free_bytes(folder)
    if free < needed:
        raise DiskFullError(f"{what} takes about {mebi(needed)}, {folder} has {mebi(free)} free")


def is_full(error: BaseException, *folders: Path) -> bool:
    """Whether it failed for want of room, as far as can be told."""
    if any(says(error, number) for number in FULL) or any(saying in str(error) for saying in SAYINGS):
        return True
    if isinstance(error, (OSError, RuntimeError)) and any(free_bytes(folder) < NEARLY_NOTHING for folder in folders):
        return True
    return error.__cause__ is not None and is_full(error.__cause__, *folders)


def says(error: BaseException, number: int) -> bool:
    return isinstance(error, OSError) and error.errno == number


def free_bytes(folder: Path) -> int:
    """What may still be written there; the folder need not exist yet."""
    existing = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    return shutil.disk_usage(existing).free


def mebi(size: int) -> str:
    return f"{size / MEBI:.1f} MiB"
