"""A run: steps, and around them evaluation, metrics and checkpoints, from where it was left to its end."""

from __future__ import annotations

import time

import torch

from .batches import Batch, batches
from .checkpoint import Progress, load_checkpoint, newest_checkpoint, save_checkpoint
from .errors import TrainError
from .interruption import interruptible
from .outcome import finish, log, measure, report_losses
from .pairs import Position, endless, open_pairs
from .ranks import choose_device, joined
from .run import Run, prepare_run
from .schedule import learning_rate
from .settings import TrainSettings, keep_settings
from .show import Show, Silent
from .step import NotFinite, StepSettings, train_step


def train(settings: TrainSettings, show: Show) -> bool:
    """Trains, or goes on with it, until the model is written to `settings.model`.

    Returns whether it came to its end; not so after Ctrl-C, when a checkpoint has been written. Raises ExportError.
    """
    device = choose_device(settings.device)
    with joined(device) as ranks:
        show = show if ranks.first else Silent()
        settings.check(ranks, device.type)
        pairs = open_pairs(settings.pairs)
        steps = settings.total_steps(pairs.count(), ranks)
        keep_settings(settings, ranks)
        if settings.model.exists():
            show.say(f"this run is done: {settings.model}, plot and numbers beside it. Another one needs another --out")
            return True
        run = prepare_run(settings, steps, pairs, device, ranks, show)
        return finish(run) if run_steps(run) else False


def run_steps(run: Run) -> bool:
    """Whether all steps are done; False after a signal."""
    progress = resume(run)
    run.show.begin(progress.step, run.steps)
    if progress.step == 0:
        measure(run, 0)
    entries = endless(run.pairs, run.settings.seed, run.ranks, progress.position)
    source = batches(entries, run.settings.batch_size, run.how, run.skipped, run.settings.workers)
    window = Window(run)
    try:
        with interruptible() as interrupted:
            while progress.step < run.steps:
                progress = one_step(run, next(source), progress, window)
                stopped = run.ranks.sum(torch.tensor([float(interrupted())], device=run.device)).item() > 0
                if run.due(progress.step, run.settings.evaluate_every, 10):
                    measure(run, progress.step)
                if stopped or run.due(progress.step, run.settings.save_every, 20):
                    save_checkpoint(run.settings.checkpoints, run.state, progress, run.ranks, run.settings.keep)
                if stopped and progress.step < run.steps:
                    run.show.say(f"stopped after step {progress.step} of {run.steps}; the same command goes on")
                    return False
    finally:
        source.close()
    report_losses(run, progress)
    return True


def resume(run: Run) -> Progress:
    """From the newest checkpoint, or from the beginning."""
    newest = newest_checkpoint(run.settings.checkpoints)
    progress = load_checkpoint(newest, run.state, run.ranks) if newest else Progress(0, Position(), 0)
    if run.ranks.first:
        run.metrics.keep_until(progress.step if newest else -1)
    if newest:
        run.show.say(f"going on after step {progress.step} of {run.steps}, from {newest}")
    return progress


class Window:
    """The steps since the metrics' last row."""

    def __init__(self, run: Run) -> None:
        self.every, self.losses, self.since = run.settings.log_every, [], time.monotonic()

    def add(self, loss: float) -> None:
        self.losses.append(loss)

    def rate(self, pairs: int) -> float:
        """Pairs per second, with `pairs` in each step."""
        return len(self.losses) * pairs / max(time.monotonic() - self.since, 1e-9)

    def clear(self) -> float:
        """The mean loss, and a new window."""
        mean = sum(self.losses) / len(self.losses)
        self.losses, self.since = [], time.monotonic()
        return mean


def one_step(run: Run, batch: Batch, before: Progress, window: Window) -> Progress:
    settings, state = run.settings, run.state
    warmup = min(run.steps // 10, 2000) if settings.warmup is None else min(settings.warmup, run.steps - 1)
    rate = learning_rate(before.step, run.steps, warmup, settings.learning_rate)
    for group in state.optimiser.param_groups:
        group["lr"] = rate
    how = StepSettings(settings.loss, settings.micro_batch, settings.precision, settings.clip_norm)
    pixels, ids = batch.pixels.to(run.device), batch.ids.to(run.device)
    try:
        measured = train_step(run.model.trainee, state.optimiser, state.scaler, how, pixels, ids, run.ranks)
    except NotFinite as error:
        newest = newest_checkpoint(settings.checkpoints)
        good = f"the last good checkpoint is {newest}" if newest else "there is no checkpoint yet"
        hint = "A lower --learning-rate, a longer --warmup or bfloat16 instead of float16 often help"
        raise TrainError(f"step {before.step + 1}: {error}; {good}. {hint}, with another --out") from error
    if state.average:
        state.average.update(before.step)
    step = before.step + 1
    window.add(measured.loss)
    scale, per_second = float(run.state.model.logit_scale.detach().exp()), window.rate(len(pixels) * run.ranks.world)
    run.show.step(step, measured.loss, scale, per_second)
    if step % window.every == 0 or step == run.steps:
        log(run, step, batch.position, window.clear(), rate, measured.gradient_norm, per_second)
    return Progress(step, batch.position, before.cut + batch.cut)
