"""Bundles of random weights in the true size of CLIP's RN50, for the Worker's bench: `npm run bench` calls this.

    python -m clip_export.random_resnet --runtime engine --out ../build/bench/models/rn50

The image encoder has open_clip's configuration of OpenAI's model; the text encoder is as small as may be, since nobody
asks it. What such a bundle answers means nothing, and nothing is verified.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from open_clip import get_model_config

from .bundle import BundleFacts, replacing, write_bundle
from .bundle_encoders import ENGINE, ONNX, EngineEncoders, write_float_graphs
from .golden.saved_open_clip import TEXT, save_open_clip
from .sources.source import load_source

MODEL = "RN50"


def write_resnet(out: Path, runtime: str) -> None:
    """A bundle whose id is its folder's name."""
    with tempfile.TemporaryDirectory() as scratch, replacing(out) as folder:
        checkpoint = save_open_clip(Path(scratch) / "checkpoint", {**get_model_config(MODEL), "text_cfg": TEXT})
        source = load_source(str(checkpoint), f"{MODEL}, random")
        encoders = EngineEncoders(source) if runtime == ENGINE else write_float_graphs(source, Path(scratch))
        write_bundle(folder, source, encoders, BundleFacts(out.name, source.name, "none"))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runtime", choices=[ENGINE, ONNX], required=True)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    write_resnet(arguments.out, arguments.runtime)
