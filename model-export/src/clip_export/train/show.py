"""What a run shows on the terminal."""

from __future__ import annotations

import time
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


class Show(Protocol):
    """Where a run says what it does."""

    def begin(self, done: int, steps: int) -> None: ...

    def step(self, done: int, loss: float, logit_scale: float, pairs_per_second: float) -> None: ...

    def say(self, text: str) -> None: ...


class Silent:
    """Of the processes that are not the first."""

    def begin(self, done: int, steps: int) -> None: ...

    def step(self, done: int, loss: float, logit_scale: float, pairs_per_second: float) -> None: ...

    def say(self, text: str) -> None: ...


class Bar:
    """A bar with loss, logit scale and pairs per second. Its `with` block is the run."""

    def __init__(self, console: Console) -> None:
        self.progress = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=console
        )
        self.task = None
        self.drawn = 0.0

    def __enter__(self) -> Bar:
        self.progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.progress.stop()

    def begin(self, done: int, steps: int) -> None:
        self.task = self.progress.add_task("training", total=steps, completed=done)

    def step(self, done: int, loss: float, logit_scale: float, pairs_per_second: float) -> None:
        if time.monotonic() - self.drawn > 0.1:  # a step of a small model takes less than drawing it
            self.drawn = time.monotonic()
            text = f"loss {loss:.3f}, scale {logit_scale:.1f}, {pairs_per_second:.0f} pairs/s"
            self.progress.update(self.task, description=text, completed=done)

    def say(self, text: str) -> None:
        self.progress.console.print(text, markup=False, highlight=False, soft_wrap=True)
