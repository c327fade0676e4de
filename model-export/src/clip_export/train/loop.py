"""A run: steps, and around them evaluation, metrics and checkpoints, from where it was left to its end."""

from __future__ import annotations

import math
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch

from .batches import Batch, Preparation, Skipped, batches
from .checkpoint import Progress, State, load_checkpoint, newest_checkpoint, save_checkpoint
from .curves import draw_curves
from .errors import TrainError
from .evaluation import HeldOut, evaluate
from .fresh import write_fresh_checkpoint
from .interruption import interruptible
from .metrics import Metrics
from .optimiser import MovingAverage, make_optimiser
from .pairs import Pairs, Position, endless, open_pairs
from .ranks import Ranks, choose_device, joined
from .retrieval import Recall
from .schedule import learning_rate
from .settings import TrainSettings, keep_settings
from .show import Show, Silent
from .step import NotFinite, StepSettings, make_scaler, train_step
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


def prepare_run(
    settings: TrainSettings, steps: int, pairs: Pairs, device: torch.device, ranks: Ranks, show: Show
) -> Run:
    model = load(settings)
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


def load(settings: TrainSettings) -> TrainedModel:
    if settings.source is not None:
        return load_model(settings.source, settings.checkpoint, settings.loss, settings.gradient_checkpointing)
    with tempfile.TemporaryDirectory() as folder:
        fresh = Path(folder) / "fresh"
        write_fresh_checkpoint(settings.config, fresh, settings.seed)
        return load_model(str(fresh), None, settings.loss, settings.gradient_checkpointing)


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


def log(
    run: Run, step: int, position: Position, loss: float, rate: float, norm: float, pairs_per_second: float
) -> None:
    """A row of the training's numbers; JSON knows no infinity, which a scaler of float16 may meet."""
    if not run.ranks.first:
        return
    model, bias = run.state.model, run.model.trainee.logit_bias
    row = {
        "step": step,
        "epoch": position.epoch,
        "loss": round(loss, 6),
        "logit_scale": round(float(model.logit_scale.detach().exp()), 4),
        **({} if bias is None else {"logit_bias": round(float(bias.detach()), 4)}),
        "learning_rate": rate,
        **({"gradient_norm": round(norm, 6)} if math.isfinite(norm) else {}),
        "pairs_per_second": round(pairs_per_second, 1),
    }
    run.metrics.write(row)


def measure(run: Run, step: int) -> Recall | None:
    """Recall on the held-out pairs, if there are any; of the averaged weights, if they are what will be written."""
    if run.held_out is None:
        return None
    with averaged(run):
        recall = evaluate(run.model.trainee, run.held_out, run.settings.precision, run.device, run.ranks)
    if run.ranks.first:
        run.metrics.write({"step": step, **recall.columns()})
    both = (("image → text", recall.image_to_text), ("text → image", recall.text_to_image))
    shares = "; ".join(f"{name} {by_k[1]:.1%} @1, {by_k[5]:.1%} @5" for name, by_k in both)
    run.show.say(f"step {step}: {shares} ({recall.images} images, {recall.texts} texts held out)")
    return recall


@contextmanager
def averaged(run: Run) -> Iterator[None]:
    with run.state.average.in_place() if run.state.average else nullcontext():
        yield


def report_losses(run: Run, progress: Progress) -> None:
    """What was left out or cut, of all processes."""
    skipped = sum(run.ranks.collect(len(run.skipped.keys)))
    cut = sum(run.ranks.collect(progress.cut))
    if skipped:
        run.show.say(f"{skipped} pairs could not be read and were left out: {run.skipped.file}")
    if cut:
        length = run.model.source.text.context_length
        run.show.say(f"{cut} texts of the first epoch were longer than {length} tokens and were cut")


def finish(run: Run) -> bool:
    """Writes the plot and the model."""
    if run.ranks.first:
        rows = run.metrics.rows()
        draw_curves(rows, run.settings.out / "curves.svg")
        with averaged(run):
            write_model(run)
        run.show.say(
            f"{run.settings.model}: trained in {run.steps} steps. Next: "
            f"clip-export export {run.settings.model} --id NAME --out FOLDER"
        )
    return True


def write_model(run: Run) -> None:
    """The whole folder, or none. Raises TrainError if it cannot be written."""
    scratch = run.settings.out / ".model"
    shutil.rmtree(scratch, ignore_errors=True)
    try:
        scratch.mkdir()
        run.model.save(scratch)
        scratch.replace(run.settings.model)
    except OSError as error:
        shutil.rmtree(scratch, ignore_errors=True)
        why = f"{run.settings.model} cannot be written: {error.strerror or error}"
        raise TrainError(f"{why}. The checkpoint stays: the same command tries again") from error
