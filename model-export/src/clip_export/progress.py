"""A progress bar for loops that take longer than a second. What loops takes a `Track`, which is silent by default."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn, track

Track = Callable[[Sequence, str], Iterable]
"""(items, what is done with each) -> the same items, one by one"""


def silent(items: Sequence, description: str) -> Iterable:
    """Shows nothing."""
    return items


def under(heading: str, track: Track) -> Track:
    """`track` that says what the loops belong to."""
    return lambda items, description: track(items, f"{heading}: {description}")


def bar(items: Sequence, description: str) -> Iterable:
    """Draws a bar on the terminal while the items are consumed."""
    return track(items, description=description)


Advance = Callable[[int], object]
"""told of bytes that have gone"""


@contextmanager
def no_bytes_bar(total: int) -> Iterator[Advance]:
    """Shows nothing."""
    yield lambda count: None


@contextmanager
def bytes_bar(description: str, total: int) -> Iterator[Advance]:
    """Draws a bar of `total` bytes on the terminal while they go."""
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns) as progress:
        yield partial(progress.advance, progress.add_task(description, total=total))
