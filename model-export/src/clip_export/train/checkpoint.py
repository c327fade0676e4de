"""Training checkpoints: everything that the next step depends on, written whole or not at all."""

from __future__ import annotations

import os
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from ..atomic import whole_file
from ..errors import ExportError
from .errors import TrainError
from .optimiser import MovingAverage
from .pairs import Position
from .ranks import Ranks

NAME = re.compile(r"step-(\d{8})\.pt")
FORMAT = 1


@dataclass(frozen=True)
class Progress:
    """Where a process stands after a number of steps."""

    step: int
    position: Position
    cut: int
    """its texts of the first epoch that were longer than the context"""


@dataclass(frozen=True)
class State:
    """What is saved and restored."""

    model: torch.nn.Module
    optimiser: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    average: MovingAverage | None
    device: torch.device


def save_checkpoint(folder: Path, state: State, progress: Progress, ranks: Ranks, keep: int) -> Path:
    """Writes `step-….pt` beside the others, of which the newest `keep` stay. All processes call it, the first writes.

    Raises TrainError if it cannot be written, a full disk first of all; the older ones are then still there.
    """
    path = folder / f"step-{progress.step:08d}.pt"
    own = {"random": random_state(state.device), "position": asdict(progress.position), "cut": progress.cut}
    each = ranks.collect(own)
    failure = None
    if ranks.first:
        content = {
            "format": FORMAT,
            "step": progress.step,
            "model": state.model.state_dict(),
            "optimiser": state.optimiser.state_dict(),
            "scaler": state.scaler.state_dict(),
            "average": state.average.averages if state.average else None,
            "ranks": each,
        }
        failure = _write(path, content)
    (failure, *_) = ranks.collect(failure)
    if failure:
        older = newest_checkpoint(folder)
        kept = f"{older} is still there: run the same command again" if older else "there is no older one"
        raise TrainError(f"{path}: the checkpoint cannot be written: {failure}; {kept}")
    if ranks.first:
        for old in checkpoints(folder)[:-keep]:
            old.unlink()
    return path


def _write(path: Path, content: dict[str, Any]) -> str | None:
    """What failed, if anything did."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in path.parent.glob("step-*.unfinished"):  # of a run that was killed
        left.unlink()
    try:
        with whole_file(path) as unfinished, unfinished.open("wb") as file:
            torch.save(content, file)
            file.flush()
            os.fsync(file.fileno())
    except (ExportError, OSError, RuntimeError) as error:  # PyTorch's writer has RuntimeErrors
        return str(error).splitlines()[0]
    return None


def checkpoints(folder: Path) -> list[Path]:
    """Oldest first."""
    return sorted(path for path in folder.glob("step-*.pt") if NAME.fullmatch(path.name))


def newest_checkpoint(folder: Path) -> Path | None:
    found = checkpoints(folder)
    return found[-1] if found else None


def load_checkpoint(path: Path, state: State, ranks: Ranks) -> Progress:
    """Restores `state` and this process's random numbers. Raises TrainError for a file that is damaged or another's."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        own = content["ranks"]
        if content["format"] != FORMAT:
            raise ValueError(f"its format is {content['format']}, expected {FORMAT}")
        if len(own) != ranks.world:
            raise TrainError(f"{path} is of {len(own)} processes, now there are {ranks.world}: start as many")
        state.model.load_state_dict(content["model"])
        state.optimiser.load_state_dict(content["optimiser"])
        state.scaler.load_state_dict(content["scaler"])
        if state.average:
            state.average.load(content["average"])
        set_random_state(own[ranks.rank]["random"], state.device)
    except TrainError:
        raise
    except Exception as error:  # of a file that is none of its own, or not whole, PyTorch raises anything
        why = (str(error) or type(error).__name__).splitlines()[0]
        raise TrainError(f"{path} cannot be read: {why}. Delete it to go on from the one before") from error
    return Progress(content["step"], Position(**own[ranks.rank]["position"]), own[ranks.rank]["cut"])


def random_state(device: torch.device) -> dict[str, torch.Tensor]:
    """Of PyTorch; nothing else here draws from a generator that outlives a pair."""
    state = {"cpu": torch.get_rng_state()}
    return state | {"cuda": torch.cuda.get_rng_state(device)} if device.type == "cuda" else state


def set_random_state(state: dict[str, torch.Tensor], device: torch.device) -> None:
    torch.set_rng_state(state["cpu"])
    if device.type == "cuda":
        torch.cuda.set_rng_state(state["cuda"], device)
