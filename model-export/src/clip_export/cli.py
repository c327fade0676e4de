"""The command line: options, examples, and how a failure looks. What the commands do is in commands.py."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from .errors import ExportError
from .tolerance import Tolerance

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode="markdown")
console = Console()

SourceName = Annotated[
    str,
    typer.Argument(
        help="Folder or hub name of a Hugging Face CLIPModel, a folder with an open_clip_config.json, "
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
        f"without it {Tolerance.int8_cosine} for onnx, {Tolerance.engine_cosine} for the engine."
    ),
]
MaxLoss = Annotated[float, typer.Option(help="Most top-1 accuracy that int8 may lose, as a share.")]
LabelFile = Annotated[Path, typer.Option(help="One label a line.", exists=True)]
TEMPLATES = 'One template a line, with "{}" for the label.'


class Runtime(StrEnum):
    """What runs a bundle's encoders in the Worker."""

    ENGINE = "engine"
    ONNX = "onnx"


def tolerance(min_cosine: float | None, max_top1_loss: float, goal: float = 1) -> Tolerance:
    """The default limits, or `min_cosine` for the bundle's encoders of either runtime.

    `goal`: the worst cosine that an engine bundle is calibrated for; by default no more is asked of it.
    """
    if min_cosine is None:
        return Tolerance(engine_cosine=min(Tolerance.engine_cosine, goal), top1_loss=max_top1_loss)
    return Tolerance(int8_cosine=min_cosine, engine_cosine=min_cosine, top1_loss=max_top1_loss)


@contextmanager
def failing_clearly() -> Iterator[None]:
    """What a user can mend ends with a message and exit code 1; anything else is a bug and keeps its traceback."""
    try:
        yield
    except (ExportError, FileNotFoundError) as error:
        console.print("[bold red]failed:[/]", end=" ")
        console.print(str(error), markup=False, highlight=False)
        raise typer.Exit(1) from error


@app.command()
def export(
    source: SourceName,
    id: Annotated[str, typer.Option(help="The model's id in the API.")],
    out: Annotated[Path, typer.Option(help="The bundle's folder.")],
    title: Annotated[str, typer.Option(help="For people.")] = "",
    license: Annotated[str, typer.Option(help="Of the weights.")] = "unknown",
    source_name: Annotated[str, typer.Option(help="What to call the source in the manifest.")] = "",
    checkpoint: Checkpoint = None,
    image_only: Annotated[
        bool,
        typer.Option(
            "--image-only",
            help="Without the text encoder: label sets are then made elsewhere. For checkpoints with another tokenizer "
            "than CLIP's (SigLIP), and to save memory.",
        ),
    ] = False,
    labels: Annotated[list[str], typer.Option(help="NAME=labels.txt:templates.txt. The first is the default.")] = [],
    images: Images = [],
    image_folder: ImageFolder = [],
    runtime: Annotated[
        Runtime | None,
        typer.Option(
            help="What runs the encoders: our engine, or onnxruntime-web. "
            "Without it the engine, and onnxruntime-web for what the engine cannot run."
        ),
    ] = None,
    calibrate: Annotated[
        Path | None,
        typer.Option(
            help="engine: a folder of some hundred pictures such as will come, unlabelled. By them the linears are "
            "chosen that take the fast product, 1.6 times as fast as the exact one; without them all are exact.",
            exists=True,
            file_okay=False,
        ),
    ] = None,
    parity: Annotated[
        float | None,
        typer.Option(min=0.9, max=0.99999, help="The mean cosine to float that --calibrate keeps; without it 0.9999."),
    ] = None,
    keep_float: Annotated[int, typer.Option(min=0, help="onnx: layers of each encoder to leave in float32.")] = 0,
    min_cosine: MinCosine = None,
    max_top1_loss: MaxLoss = Tolerance.top1_loss,
) -> None:
    """Turn a CLIP checkpoint into a model bundle, and verify it; nothing is written if it fails.

    Example: `clip-export export wkcn/TinyCLIP-ViT-8M-16-Text-3M-YFCC15M --id tinyclip --out ../public/models/tinyclip
    --labels things=label-sets/imagenet-200.txt:templates/imagenet-80.txt`

    open_clip: `clip-export export open_clip:ViT-B-32/laion2b_s34b_b79k --id vit-b-32 --out ../public/models/vit-b-32`

    With weights of your own: `clip-export export open_clip:ViT-B-32 --checkpoint epoch_32.pt …`
    """
    from . import commands

    with failing_clearly():
        photos = commands.read_photo_lists(images, image_folder)
        sets = [commands.parse_labels(text) for text in labels]
        facts = commands.BundleFacts(id, title or id, license, sets)
        if parity is not None and calibrate is None:
            raise ExportError("--parity is what --calibrate keeps: give a folder of pictures to it")
        if image_only and labels:
            raise ExportError("--labels are embedded by the text encoder, which --image-only leaves out")
        goal = commands.Goal() if parity is None else commands.Goal(parity)
        limit = tolerance(min_cosine, max_top1_loss, goal.worst)
        options = commands.ExportOptions(runtime, keep_float, limit, calibrate, goal)
        loaded = commands.load_source(source, source_name or None, checkpoint=checkpoint, image_only=image_only)
        commands.export_bundle(console, loaded, facts, out, photos, options)


@app.command()
def verify(
    bundle: Bundle,
    source: SourceName,
    checkpoint: Checkpoint = None,
    images: Images = [],
    image_folder: ImageFolder = [],
    min_cosine: MinCosine = None,
    max_top1_loss: MaxLoss = Tolerance.top1_loss,
) -> None:
    """Compare a bundle with its checkpoint. Writes `quality` into its model.json.

    Example: `clip-export verify ../public/models/tinyclip wkcn/TinyCLIP-ViT-8M-16-Text-3M-YFCC15M
    --images photos.tsv --image-folder photos`
    """
    from . import commands

    with failing_clearly():
        limit = tolerance(min_cosine, max_top1_loss)
        photos = commands.read_photo_lists(images, image_folder)
        commands.verify_bundle(console, bundle, source, photos, limit, checkpoint)


@app.command()
def labels(
    bundle: Bundle,
    labels: LabelFile,
    templates: Annotated[Path, typer.Option(help=TEMPLATES, exists=True)],
    name: Annotated[str, typer.Option(help="The set's name in the API.")],
    out: Annotated[Path, typer.Option(help="The safetensors file.")],
) -> None:
    """Embed a label set with a bundle's text encoder, to be sent to `PUT /v1/label-sets/NAME`.

    Example: `clip-export labels ../public/models/tinyclip --labels birds.txt --templates templates/a-photo-of-a.txt
    --name birds --out birds.safetensors`
    """
    from . import commands

    with failing_clearly():
        texts = commands.LabelTexts(name, commands.read_lines(labels), commands.read_lines(templates))
        commands.write_labels(console, bundle, texts, out)


@app.command()
def compare_templates(
    source: SourceName,
    labels: LabelFile,
    templates: Annotated[list[Path], typer.Option(help=f"{TEMPLATES} Repeat it for each file.", exists=True)],
    images: Annotated[Path, typer.Option(help="Photo list: lines of file, tab, label.", exists=True)],
    image_folder: Annotated[Path, typer.Option(help="Where the photos lie.", exists=True)],
    checkpoint: Checkpoint = None,
) -> None:
    """Measure which templates suit a checkpoint: zero-shot accuracy of each file's ensemble, in float.

    Example: `clip-export compare-templates wkcn/TinyCLIP-ViT-8M-16-Text-3M-YFCC15M --labels label-sets/cifar-10.txt
    --templates templates/a-photo-of-a.txt --templates templates/cifar-18.txt
    --images photos.tsv --image-folder photos`
    """
    from . import commands

    with failing_clearly():
        photos = commands.read_photo_list(images, image_folder)
        loaded = commands.load_source(source, checkpoint=checkpoint)
        commands.print_templates(console, loaded, labels, templates, photos)


@app.command()
def golden(
    source: Annotated[Path, typer.Argument(help="Folder of a Hugging Face CLIPModel.", exists=True, file_okay=False)],
    samples: Annotated[Path, typer.Option(help="Folder of the sample photos.", exists=True, file_okay=False)],
    out: Annotated[Path, typer.Option(help="The fixtures' folder: images, bad and golden are written into it.")],
) -> None:
    """Write the golden files that the TypeScript tests compare with, from the reference implementations.

    Example: `clip-export golden ../checkpoints/tiny-64 --samples ../samples --out ../test/fixtures`
    """
    from . import commands

    with failing_clearly():
        commands.write_golden_files(console, source, samples, out)
