"""`clip-export train`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ..precision import Arithmetic
from .app import STOPPED, app, console, failing_clearly
from .options import Checkpoint, Device


class Loss(StrEnum):
    """What is minimised."""

    INFONCE = "infonce"
    SIGMOID = "sigmoid"


@app.command()
def train(
    pairs: Annotated[
        str,
        typer.Option(
            help="A .csv or .tsv with the columns image and text, paths relative to it; or WebDataset shards, "
            "'shards-{0000..0099}.tar', with .jpg, .png or .webp and .txt or .json."
        ),
    ],
    out: Annotated[Path, typer.Option(help="The run's folder. The trained checkpoint will be in its folder `model`.")],
    source: Annotated[
        str | None, typer.Argument(help="The checkpoint to start from, named as for `export`.", show_default=False)
    ] = None,
    checkpoint: Checkpoint = None,
    config: Annotated[
        str | None,
        typer.Option(
            help="Start from random weights instead: a JSON file, Hugging Face's CLIPConfig or a model's of open_clip, "
            "or the name of a model of open_clip's."
        ),
    ] = None,
    held_out: Annotated[
        str | None, typer.Option(help="Pairs to measure retrieval recall with, as --pairs. Not to be trained with.")
    ] = None,
    loss: Annotated[
        Loss,
        typer.Option(help="CLIP's softmax over all pairs of a batch, or SigLIP's pairwise sigmoid with a bias."),
    ] = Loss.INFONCE,
    epochs: Annotated[int | None, typer.Option(min=1, help="How often each pair is seen.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Instead of --epochs: how many batches.")] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Pairs of each process in a step.")] = 256,
    micro_batch: Annotated[
        int | None,
        typer.Option(
            min=1, help="Pairs in memory at a time. The gradient is still that of the batch; 4/3 of the work."
        ),
    ] = None,
    learning_rate: Annotated[float, typer.Option(min=0, help="The highest; 1e-5 or so to fine-tune.")] = 5e-4,
    weight_decay: Annotated[float, typer.Option(min=0, help="Of matrices only.")] = 0.2,
    warmup: Annotated[
        int | None, typer.Option(min=0, help="Steps to the highest learning rate; without it a tenth, at most 2000.")
    ] = None,
    clip_norm: Annotated[float, typer.Option(min=0, help="Largest norm of the gradient; 0: any.")] = 1.0,
    precision: Annotated[
        Arithmetic | None, typer.Option(help="Without it bfloat16 on a GPU that has it, else float32.")
    ] = None,
    gradient_checkpointing: Annotated[
        bool, typer.Option("--gradient-checkpointing", help="Less memory, a third more time.")
    ] = False,
    crop: Annotated[
        float,
        typer.Option(min=0.01, max=1, help="Least share of a picture that a random crop keeps; 1: no augmentation."),
    ] = 0.9,
    ema: Annotated[
        float | None,
        typer.Option(min=0, max=0.999999, help="Evaluate and write the moving average of the weights, e.g. 0.999."),
    ] = None,
    evaluate_every: Annotated[int | None, typer.Option(min=1, help="Steps; without it ten times.")] = None,
    save_every: Annotated[int | None, typer.Option(min=1, help="Steps; without it twenty times.")] = None,
    keep: Annotated[int, typer.Option(min=1, help="How many of the newest checkpoints stay.")] = 2,
    workers: Annotated[int, typer.Option(min=1, help="Threads that decode pictures, in each process.")] = 4,
    strict: Annotated[bool, typer.Option("--strict", help="Fail at the first pair that cannot be read.")] = False,
    seed: Annotated[int, typer.Option(min=0, help="Of random weights, order, crops and dropout.")] = 0,
    device: Device = None,
) -> None:
    """Train or fine-tune a CLIP on your own pairs of pictures and texts. The same command goes on where it was stopped.

    Example: `clip-export train wkcn/TinyCLIP-ViT-8M-16-Text-3M-YFCC15M --pairs birds/train.csv
    --held-out birds/held-out.csv --out runs/birds --epochs 10 --batch-size 256 --learning-rate 1e-5`

    From scratch, with SigLIP's loss: `clip-export train --config ViT-S-32 --pairs 'shards-{0000..0099}.tar'
    --out runs/s32 --epochs 30 --batch-size 1024 --micro-batch 256 --loss sigmoid`

    Several GPUs or machines: `torchrun --nproc-per-node 8 --no-python clip-export train …`
    """
    from ..commands.train import train_with_bar
    from ..train.ranks import choose_device, default_precision
    from ..train.settings import TrainSettings

    with failing_clearly():
        settings = TrainSettings(
            pairs=pairs,
            out=out,
            source=source,
            checkpoint=checkpoint,
            config=config,
            held_out=held_out,
            loss=loss.value,
            epochs=epochs,
            steps=steps,
            batch_size=batch_size,
            micro_batch=micro_batch,
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            warmup=warmup,
            clip_norm=clip_norm or None,
            precision=precision.value if precision else default_precision(choose_device(device)),
            gradient_checkpointing=gradient_checkpointing,
            crop=crop,
            average=ema,
            seed=seed,
            evaluate_every=evaluate_every,
            save_every=save_every,
            keep=keep,
            workers=workers,
            strict=strict,
            device=device,
        )
        finished = train_with_bar(console, settings)
    if not finished:
        raise typer.Exit(STOPPED)
