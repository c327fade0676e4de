"""What a run is asked for, kept in its folder: a run that is continued with other settings would be neither."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from ..atomic import whole_file
from .errors import TrainError
from .ranks import Ranks

FREE = ("out", "device", "workers", "save_every", "keep", "log_every", "strict")
"""what may change when a run is continued, since no weight depends on it"""


@dataclass(frozen=True)
class TrainSettings:
    """The options of `clip-export train`, whose `--help` says what they mean."""

    pairs: str
    out: Path
    source: str | None = None
    checkpoint: Path | None = None
    config: str | None = None
    held_out: str | None = None
    loss: str = "infonce"
    epochs: int | None = None
    steps: int | None = None
    batch_size: int = 256
    micro_batch: int | None = None
    learning_rate: float = 5e-4
    weight_decay: float = 0.2
    warmup: int | None = None
    clip_norm: float | None = 1.0
    precision: str = "float32"
    gradient_checkpointing: bool = False
    crop: float = 0.9
    average: float | None = None
    seed: int = 0
    evaluate_every: int | None = None
    save_every: int | None = None
    keep: int = 2
    log_every: int = 10
    workers: int = 2
    strict: bool = False
    device: str | None = None

    @property
    def checkpoints(self) -> Path:
        return self.out / "checkpoints"

    @property
    def model(self) -> Path:
        """The folder that `export` takes."""
        return self.out / "model"

    def check(self, ranks: Ranks, device_type: str) -> None:
        """Raises TrainError for what cannot be trained."""
        if (self.source is None) == (self.config is None):
            raise TrainError("give either a checkpoint to start from, or --config to start from scratch")
        if (self.epochs is None) == (self.steps is None):
            raise TrainError("give either --epochs or --steps")
        if self.batch_size * ranks.world < 2:
            raise TrainError("--batch-size 1: a batch of one pair makes no contrast, there is nothing to tell it from")
        if self.precision == "float16" and device_type != "cuda":
            raise TrainError(f"--precision float16 is for cuda: on {device_type} take bfloat16 or float32")

    def total_steps(self, pairs: int | None, ranks: Ranks) -> int:
        """Raises TrainError where there are fewer pairs than a batch, or --epochs of an unknown number of pairs."""
        batch = self.batch_size * ranks.world
        if pairs is not None and pairs < batch:
            raise TrainError(f"{self.pairs} has {pairs} pairs, fewer than one batch of {batch}")
        if self.steps is not None:
            return self.steps
        if pairs is None:
            raise TrainError("how many pairs are in these shards is not known before they are read: give --steps")
        return self.epochs * (pairs // batch)


def keep_settings(settings: TrainSettings, ranks: Ranks) -> None:
    """Writes `run.json`, or compares with it. Raises TrainError if a run in `out` was started with other settings."""
    file = settings.out / "run.json"
    stated = _plain(settings) | {"processes": ranks.world}
    before = _read(file)
    changed = [key for key in stated if before is not None and key not in FREE and before.get(key) != stated[key]]
    if changed:
        was = ", ".join(f"{key} {before.get(key)!r}, now {stated[key]!r}" for key in changed)
        raise TrainError(f"{settings.out} is of a run with {was}: give the same to go on with it, or another --out")
    if ranks.first and before is None:
        if settings.out.exists() and any(settings.out.iterdir()):
            raise TrainError(f"{settings.out} is not empty and no run of this command")
        settings.out.mkdir(parents=True, exist_ok=True)
        with whole_file(file) as unfinished:
            unfinished.write_text(json.dumps(stated, indent=2) + "\n", encoding="utf-8")


def _plain(settings: TrainSettings) -> dict[str, Any]:
    return {
        field.name: str(value) if isinstance(value, Path) else value
        for field, value in zip(fields(settings), asdict(settings).values(), strict=True)
    }


def _read(file: Path) -> dict[str, Any] | None:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise TrainError(f"{file}: {error}") from error
