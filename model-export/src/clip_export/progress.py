"""A progress bar for loops that take longer than a second. What loops takes a `Track`, which is silent by default."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from rich.progress import track

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
