"""The parts of a run in one process, and how they are made."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch

from .batches import Preparation, Skipped
from .checkpoint import State
from .evaluation import HeldOut
from .fresh import write_fresh_checkpoint
from .metrics import Metrics
from .optimiser import MovingAverage, make_optimiser
from .pairs import Pairs, open_pairs
from .ranks import Ranks
from .settings import TrainSettings
from .show import Show
from .step import make_scaler
from .trained_model import TrainedModel, load_model


@dataclass(frozen=True)
class Run:
    """The parts of a run in one process."""

    settings: TrainSettings
    steps: int
    pairs: Pairs
    held_out: HeldOut | None
    model: TrainedModel
    state: State
    how: Preparation
    skipped: Skipped
    metrics: Metrics
    device: torch.device
    ranks: Ranks
    show: Show

    def due(self, step: int, every: int | None, times: int) -> bool:
        """Whether after `step` something is to be done that is done `every` so many steps, or so many times in all."""
        return step == self.steps or step % (every or max(1, self.steps // times)) == 0


def prepare_run(
    settings: TrainSettings, steps: int, pairs: Pairs, device: torch.device, ranks: Ranks, show: Show
) -> Run:
    model = load(settings, settings.batch_size * ranks.world)
    module = model.source.model.to(device).train()
    ranks.share([*module.parameters(), *module.buffers()])
    torch.manual_seed(settings.seed + ranks.rank)
    average = MovingAverage(module, settings.average) if settings.average else None
    optimiser = make_optimiser(module, settings.weight_decay)
    state = State(module, optimiser, make_scaler(device, settings.precision), average, device)
    how = Preparation(model.source.preprocessing, model.tokenise, model.pad, settings.crop, settings.seed)
    skipped = Skipped(settings.out / f"skipped{'' if ranks.first else f'-{ranks.rank}'}.tsv", settings.strict)
    size = settings.micro_batch or settings.batch_size
    held_out = None
    if settings.held_out:
        held_out = HeldOut(open_pairs(settings.held_out), how, skipped, size, settings.workers)
    metrics = Metrics(settings.out / "metrics.jsonl")
    return Run(settings, steps, pairs, held_out, model, state, how, skipped, metrics, device, ranks, show)


def load(settings: TrainSettings, batch: int) -> TrainedModel:
    how = settings.loss, batch, settings.gradient_checkpointing
    if settings.source is not None:
        return load_model(settings.source, settings.checkpoint, *how)
    with tempfile.TemporaryDirectory() as folder:
        fresh = Path(folder) / "fresh"
        write_fresh_checkpoint(settings.config, fresh, settings.seed)
        return load_model(str(fresh), None, *how)


@contextmanager
def averaged(run: Run) -> Iterator[None]:
    with run.state.average.in_place() if run.state.average else nullcontext():
        yield
