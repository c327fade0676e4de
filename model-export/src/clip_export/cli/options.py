"""Arguments and options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..tolerance import Tolerance

SourceName = Annotated[
    str,
    typer.Argument(
        help="Folder or hub name of a Hugging Face CLIPModel or SiglipModel, a folder with an open_clip_config.json, "
        "open_clip:MODEL/TAG, open_clip:hf-hub:OWNER/MODEL, or open_clip:MODEL with --checkpoint.",
    ),
]
Checkpoint = Annotated[
    Path | None,
    typer.Option(
        help="A file of weights, for open_clip:MODEL. With open_clip:MODEL/TAG pictures are prepared, and QuickGELU is "
        "taken, as for that tag.",
        exists=True,
        dir_okay=False,
    ),
]
Bundle = Annotated[Path, typer.Argument(help="Folder of a model bundle.", exists=True, file_okay=False)]
Images = Annotated[list[Path], typer.Option(help="Photo list: lines of file, tab, label. May be repeated.")]
ImageFolder = Annotated[list[Path], typer.Option(help="Where the photos of the list at the same place lie.")]
MinCosine = Annotated[
    float | None,
    typer.Option(
        help="Least cosine of the bundle's embeddings to PyTorch's; "
        f"without it {Tolerance.int8_cosine} for onnx ({Tolerance.float16_cosine} in float16, "
        f"{Tolerance.float32_cosine} in float32), {Tolerance.engine_cosine} for the engine."
    ),
]
MaxLoss = Annotated[float, typer.Option(help="Most top-1 accuracy that int8 may lose, as a share.")]
LabelFile = Annotated[
    Path,
    typer.Option(help="One label a line; or .csv with the header label,prompt; or .json.", exists=True, dir_okay=False),
]
EncoderSource = Annotated[
    str | None,
    typer.Option(
        help="The checkpoint that the bundle was made from, to take its text encoder instead: for a bundle that has "
        "none, or on a GPU. Named as for export."
    ),
]
Device = Annotated[
    str | None,
    typer.Option(help="Where PyTorch computes: cpu, cuda, cuda:1, mps. Without it cuda if there is one, else cpu."),
]
Report = Annotated[
    Path | None,
    typer.Option(help="An HTML page to write of what was measured, beyond the tolerance or not.", dir_okay=False),
]
Edge = Annotated[
    bool,
    typer.Option(help="Whether to run the bundle by the edge's own code, too: in Node, where that is installed."),
]
Strict = Annotated[bool, typer.Option("--strict", help="Photos that are missing or broken are an error, not left out.")]
TEMPLATES = 'One template a line, with "{}" for the label.'


def tolerance(min_cosine: float | None, max_top1_loss: float, goal: float = 1) -> Tolerance:
    """The default limits, or `min_cosine` for the bundle's encoders, whatever they are.

    `goal`: the worst cosine that an engine bundle is calibrated for; by default no more is asked of it.
    """
    if min_cosine is None:
        return Tolerance(engine_cosine=min(Tolerance.engine_cosine, goal), top1_loss=max_top1_loss)
    stages = ("float32_cosine", "float16_cosine", "int8_cosine", "engine_cosine")
    return Tolerance(**dict.fromkeys(stages, min_cosine), top1_loss=max_top1_loss)
