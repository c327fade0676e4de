"""What `train` does."""

from __future__ import annotations

from rich.console import Console

from ..train.loop import train
from ..train.settings import TrainSettings
from ..train.show import Bar


def train_with_bar(console: Console, settings: TrainSettings) -> bool:
    """Whether the run came to its end; False if it was interrupted, after its checkpoint was written."""
    with Bar(console) as bar:
        return train(settings, bar)
