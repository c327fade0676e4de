"""A progress bar for loops that take longer than a second. What loops takes a `Track`, which is silent by default."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial

from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
    track,
)
from rich.text import Text

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


Count = Callable[[str, int, int], AbstractContextManager[Callable[[int], None]]]
"""(unit, how many there are, how many are done) -> a function that is told how many more are done"""


@contextmanager
def counting_bar(unit: str, total: int, done: int = 0) -> Iterator[Callable[[int], None]]:
    """Draws a bar with how many there are each second, and how long it will take."""
    columns = [TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed:,.0f} of {task.total:,.0f}")]
    with Progress(*columns, SpeedColumn(unit), TimeRemainingColumn(), speed_estimate_period=60) as progress:
        task = progress.add_task(unit, total=total, completed=done)
        yield lambda more: progress.advance(task, more)


class SpeedColumn(ProgressColumn):
    """How many units a second."""

    def __init__(self, unit: str) -> None:
        super().__init__()
        self.unit = unit

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:,.0f} {self.unit}/s" if speed else f"? {self.unit}/s")


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
