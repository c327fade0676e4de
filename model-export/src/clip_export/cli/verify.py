"""`clip-export verify`."""

from __future__ import annotations

from ..tolerance import Tolerance
from .app import app, console, failing_clearly
from .options import (
    Bundle,
    Checkpoint,
    Device,
    Edge,
    ImageFolder,
    Images,
    MaxLoss,
    MinCosine,
    Report,
    SourceName,
    Strict,
    tolerance,
)


@app.command()
def verify(
    bundle: Bundle,
    source: SourceName,
    checkpoint: Checkpoint = None,
    images: Images = [],
    image_folder: ImageFolder = [],
    min_cosine: MinCosine = None,
    max_top1_loss: MaxLoss = Tolerance.top1_loss,
    device: Device = None,
    edge: Edge = True,
    report: Report = None,
    strict: Strict = False,
) -> None:
    """Compare a bundle with its checkpoint, up to the very code that runs at the edge. Writes `quality` into its
    model.json.

    Example: `clip-export verify ../public/models/tinyclip wkcn/TinyCLIP-ViT-8M-16-Text-3M-YFCC15M
    --images photos.tsv --image-folder photos --report tinyclip.html`
    """
    from ..commands.verify import Checks, verify_bundle
    from ..devices import find_device
    from ..photo_list import read_photo_lists

    with failing_clearly():
        checks = Checks(tolerance(min_cosine, max_top1_loss), edge, report)
        photos = read_photo_lists(images, image_folder, strict)
        verify_bundle(console, bundle, source, photos, checks, checkpoint, find_device(device))
