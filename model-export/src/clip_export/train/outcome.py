"""What a run tells and leaves: numbers on the way, at its end the plot and the trained checkpoint."""

from __future__ import annotations

import math
import shutil

from ..disk import naming_full_disk
from .checkpoint import Progress
from .curves import draw_curves
from .evaluation import evaluate
from .pairs import Position
from .run import Run, averaged


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


def measure(run: Run, step: int) -> None:
    """Recall on the held-out pairs, if there are any; of the averaged weights, if they are what will be written."""
    if run.held_out is None:
        return
    with averaged(run):
        recall = evaluate(run.model.trainee, run.held_out, run.settings.precision, run.device, run.ranks)
    if run.ranks.first:
        run.metrics.write({"step": step, "images": recall.images, "texts": recall.texts, **recall.columns()})
    both = (("image → text", recall.image_to_text), ("text → image", recall.text_to_image))
    shares = "; ".join(f"{name} {by_k[1]:.1%} @1, {by_k[5]:.1%} @5" for name, by_k in both)
    run.show.say(f"step {step}: {shares} ({recall.images} images, {recall.texts} texts held out)")


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
    """The whole folder, or none. Raises DiskFullError; the last checkpoint stays, and the same command tries again."""
    unfinished = run.settings.out / ".model"
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        with naming_full_disk(run.settings.out):
            unfinished.mkdir()
            run.model.save(unfinished)
            unfinished.replace(run.settings.model)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
