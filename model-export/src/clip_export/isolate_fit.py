"""Whether a bundle's encoders fit into an isolate: what does not is refused here, before it is deployed.

An isolate has 128 MiB, of which encoders get 112 (src/runtime/isolate-memory.ts). What the engine takes is known to the
byte (engine/memory.py): tiny-64's encoders 10.3 and 17.3 MiB, a ViT-B/32's, calibrated, 88.9 and 68.4 MiB.
onnxruntime-web's heap grows by fifths and never shrinks; after a first answer in workerd (`npm run bench`; ViT-Bs of
random_vit.py) it was

    int8 graphs, MiB    9.7 (tiny-64)    9.7 + 15.5    91.0 (ViT-B/32)    84.7 (ViT-B/16)
    heap, MiB          33.3             53.4          207.4              194.3

and 51.6 MiB with a text encoder of 15.3 alone: 10 MiB and 3 times the graphs is never less. Of float16 graphs it holds
the weights in float32, too: 111 MiB for 21.8 (MobileCLIP2-S0) and 354 for 73.1 (RN50), for which it is 5 times.

The Worker loads an encoder when it is first needed, and the text encoder only if there is room for the image encoder
beside it. So a bundle whose encoders fit one by one is of use, with label sets that were embedded elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rich.console import Console

from .bundle_encoders import ENGINE, ONNX, EngineEncoders, FloatGraphs
from .disk import MEBI, mebi
from .edge_tokenizer import HEAP_BYTES
from .engine.memory import EncoderSizes, file_bytes, memory_bytes
from .errors import ExportError
from .precision import Precision
from .sources.source import Source

ISOLATE_BYTES = 112 * MEBI
"""of an isolate's 128 MiB, for encoders"""
ONNX_BYTES = 10 * MEBI
"""onnxruntime-web's own"""
ONNX_COPIES = {Precision.INT8: 3, Precision.FLOAT16: 5, Precision.FLOAT32: 3}
"""of a graph, in its heap"""
SHARES = {Precision.INT8: 4, Precision.FLOAT16: 2, Precision.FLOAT32: 1}
"""how often a graph's file fits into the float32 one's, at most"""


class FitError(ExportError):
    """An encoder takes more memory than an isolate has; the message has the numbers and what to do."""


@dataclass(frozen=True)
class Fit:
    """What encoders take of an isolate's memory."""

    runtime: str
    encoders: Mapping[str, int]
    """bytes of "image" and, if there is one, "text", each alone"""

    @property
    def together(self) -> int:
        """Bytes of all: onnxruntime-web is there once."""
        shared = (len(self.encoders) - 1) * ONNX_BYTES if self.runtime == ONNX else 0
        return sum(self.encoders.values()) - shared


def check_source(
    checkpoint: Source, runtime: str, files: Mapping[str, int], precision: Precision = Precision.INT8
) -> None:
    """Before the long work: raises FitError for a checkpoint whose encoders cannot fit.

    `files`: about how many bytes each encoder's file will have, of `expected_files`.
    """
    if runtime == ONNX:
        encoders = {name: onnx_bytes(size, precision) for name, size in files.items()}
    else:
        encoders = {name: memory_bytes(sizes, files[name]) for name, sizes in engine_sizes(checkpoint).items()}
    if checkpoint.text:
        encoders["text"] += checkpoint.text.tokenizer.heap_bytes
    check_encoders(Fit(runtime, encoders))


def expected_files(checkpoint: Source, graphs: FloatGraphs | None) -> dict[str, int]:
    """About how many bytes the files of "image" and "text" will have.

    Of onnxruntime's (`graphs`) the share of the float graph that its precision leaves at least; of the engine's what
    its architecture needs.
    """
    if graphs:
        paths = {"image": graphs.image, **({"text": graphs.text} if graphs.text else {})}
        return {name: path.stat().st_size // SHARES[graphs.precision] for name, path in paths.items()}
    return {name: file_bytes(sizes) for name, sizes in engine_sizes(checkpoint).items()}


def check_bundle(console: Console, manifest: dict[str, Any], allow_too_large: bool = False) -> None:
    """Of a bundle that is written: prints what it takes. Raises FitError if an encoder does not fit."""
    fit = fit_of(manifest)
    for line in fit_lines(fit):
        console.print(line, highlight=False, soft_wrap=True)
    if not allow_too_large:
        check_encoders(fit)


def fit_of(manifest: dict[str, Any]) -> Fit:
    """By the lengths of a bundle's files."""
    towers = {name: manifest[name] for name in ("image", "text") if manifest[name]}
    return Fit(manifest["image"]["runtime"], {name: encoder_bytes(manifest, name) for name in towers})


def encoder_bytes(manifest: dict[str, Any], name: str) -> int:
    """What the encoder `name`, "image" or "text", takes of an isolate's memory, its tokenizer too."""
    tower = manifest[name]
    size = sum(entry["bytes"] for entry in tower["files"])
    beside = tokenizer_bytes(tower["tokenizer"]) if name == "text" else 0
    if tower["runtime"] == ONNX:
        return onnx_bytes(size, Precision(tower.get("precision", Precision.INT8))) + beside
    more = {"image_size": tower["size"]} if name == "image" else {"context_length": tower["contextLength"]}
    return memory_bytes(EncoderSizes(tower["architecture"], manifest["embeddingDim"], **more), size) + beside


def tokenizer_bytes(tokenizer: dict[str, Any]) -> int:
    """What a bundle's tokenizer takes beside its text encoder, about; CLIP's 1 MiB is not counted."""
    if tokenizer["kind"] != "hf-tokenizer":
        return 0
    return HEAP_BYTES[tokenizer["model"]] * tokenizer["files"][0]["bytes"]


def onnx_bytes(graph: int, precision: Precision = Precision.INT8) -> int:
    """Of one graph of so many bytes."""
    return ONNX_BYTES + ONNX_COPIES[precision] * graph


def engine_sizes(checkpoint: Source) -> dict[str, EncoderSizes]:
    """Of a checkpoint's encoders. Raises ArchitectureError for those that the engine cannot run."""
    dim, sizes = checkpoint.embedding_dim, {}
    for name, architecture in EngineEncoders(checkpoint).architectures().items():
        if name == "image":
            sizes[name] = EncoderSizes(architecture, dim, image_size=checkpoint.image_size)
        else:
            tokenizer = checkpoint.text.tokenizer
            lengths = {"context_length": tokenizer.context_length, "vocabulary": tokenizer.vocabulary_size}
            sizes[name] = EncoderSizes(architecture, dim, **lengths)
    return sizes


def fit_lines(fit: Fit) -> list[str]:
    """For people: what the encoders take, and what follows if there is not room for both."""
    parts = " and ".join(f"{name} encoder {mebi(taken)}" for name, taken in fit.encoders.items())
    lines = [f"memory in the Worker: {parts}, of the {mebi(ISOLATE_BYTES)} that an isolate has for encoders"]
    if fit.together > ISOLATE_BYTES:
        lines.append(
            "that is not enough for both: the Worker takes pictures and label sets made by clip-export labels, and "
            "refuses texts. --image-only leaves the text encoder out"
        )
    return lines


def check_encoders(fit: Fit) -> None:
    """Raises FitError if one of them does not fit, even alone."""
    too_large = {name: taken for name, taken in fit.encoders.items() if taken > ISOLATE_BYTES}
    if too_large:
        parts = " and ".join(f"the {name} encoder takes {mebi(taken)}" for name, taken in too_large.items())
        raise FitError(
            f"{parts} of memory, an isolate has {mebi(ISOLATE_BYTES)} for encoders.\n{advice(fit.runtime, too_large)}"
        )


def advice(runtime: str, too_large: Mapping[str, int]) -> str:
    """What to do instead."""
    ways = []
    if list(too_large) == ["text"]:
        ways.append("leave the text encoder out with --image-only")
    if runtime != ENGINE:
        ways.append("take --runtime engine, which needs the model's bytes and some MiB, or int8 instead of float")
    ways.append("take a smaller model (a ViT-B/32 or ViT-B/16 fits)")
    ways.append("or, for a workerd of your own with more memory, --allow-too-large, and there MAX_ENCODER_MB")
    return "\n".join(f"- {way}" for way in ways)
