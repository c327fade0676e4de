"""Labelled photos to measure with: a TSV of `file<TAB>label` lines and the folder in which the files lie.

Photos that are missing or broken are left out, counted and named, unless the list is strict.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from .errors import ExportError
from .preprocess import pixel_values
from .progress import Track, silent
from .text_file import numbered_lines

NAMED = 10
"""of the photos that are left out, how many a message names"""


class PhotoListError(ExportError):
    """The list or one of its photos cannot be read; the message names the line or the file."""


@dataclass(frozen=True)
class LeftOut:
    """A photo that could not be read, and why."""

    file: Path
    why: str


@dataclass(frozen=True)
class PhotoList:
    """Photos and what each shows; `labels` is empty if nobody has said it."""

    name: str
    files: list[Path]
    labels: list[str]
    strict: bool = False
    """whether one photo that cannot be read is an error"""
    left_out: tuple[LeftOut, ...] = ()
    """of the list as it was written; they are no longer in `files`"""


def read_photo_list(tsv: Path, folder: Path, strict: bool = False) -> PhotoList:
    """Reads the list; the photos themselves are read by `load_photos`. The list is named as its file."""
    files, labels = [], []
    for number, line in numbered_lines(tsv, PhotoListError):
        name, tab, label = line.partition("\t")
        if not tab or not name.strip() or not label.strip():
            raise PhotoListError(f"{tsv.name}, line {number}: expected a file, a tab and a label, got {line!r}")
        files.append(folder / name)
        labels.append(label.strip())
    if not files:
        raise PhotoListError(f"{tsv.name} lists no photos")
    return PhotoList(tsv.stem, files, labels, strict)


def read_photo_lists(lists: Sequence[Path], folders: Sequence[Path], strict: bool = False) -> list[PhotoList]:
    """Pairs each list with its folder."""
    if len(lists) != len(folders):
        raise PhotoListError(f"{len(lists)} --images but {len(folders)} --image-folder: give one folder to each list")
    return [read_photo_list(tsv, folder, strict) for tsv, folder in zip(lists, folders, strict=True)]


def load_photos(photos: PhotoList, image: dict[str, Any], track: Track = silent) -> tuple[PhotoList, np.ndarray]:
    """The list without the photos that cannot be read, and the pixel values of the others, float32 [n, 3, size, size],
    preprocessed as the manifest's `image` says.

    Raises PhotoListError if none can be read, or for the first that cannot if the list is strict.
    """
    settings = [image[key] for key in ("size", "resize", "interpolation", "mean", "std")]
    pixels, read, left_out = [], [], []
    for row, file in enumerate(track(photos.files, f"photos of {photos.name}")):
        try:
            with Image.open(file) as photo:
                pixels.append(pixel_values(photo, *settings))
            read.append(row)
        # what PIL raises for what is no whole picture; a ValueError for some broken headers, and for "\0" in a name
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            why = "missing" if isinstance(error, FileNotFoundError) else _reason(error, file)
            if photos.strict:
                raise PhotoListError(f"{file}: cannot be read as a picture: {why}") from error
            left_out.append(LeftOut(file, why))
    if not pixels:
        raise PhotoListError(f"{photos.name}: none of its photos can be read: {named(left_out)}")
    labels = [photos.labels[row] for row in read] if photos.labels else []
    files = [photos.files[row] for row in read]
    return replace(photos, files=files, labels=labels, left_out=(*photos.left_out, *left_out)), np.stack(pixels)


def load_pixels(photos: PhotoList, image: dict[str, Any], track: Track = silent) -> np.ndarray:
    """The pixel values of all photos of a list, [n, 3, size, size]. Raises PhotoListError if one cannot be read."""
    return load_photos(replace(photos, strict=True), image, track)[1]


def left_out_line(photos: PhotoList) -> str:
    """How many photos were left out, and which: the first ten. Empty if none was."""
    if not photos.left_out:
        return ""
    count, total = len(photos.left_out), len(photos.left_out) + len(photos.files)
    return f"{photos.name}: {count} of {total} photos left out: {named(photos.left_out)} (--strict makes it an error)"


def named(left_out: Sequence[LeftOut]) -> str:
    """The first ten, each with its reason, and how many more there are."""
    first = ", ".join(f"{item.file.name} ({item.why})" for item in left_out[:NAMED])
    return first + (f", and {len(left_out) - NAMED} more" if len(left_out) > NAMED else "")


def _reason(error: Exception, file: Path) -> str:
    """PIL's message, which names the path of this machine once more."""
    return str(error).replace(str(file), file.name) or type(error).__name__
