"""A bundle's encoders, per runtime: how their files are written, and how they run on this machine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from transformers import CLIPModel

from .clip_tokenizer import LOWER, ClipTokenizer
from .edge_tokenizer import read_edge_tokenizer
from .encoders import EncodeImages, EncodeTexts, graph_image_encoder, graph_text_encoder, image_encoder, text_encoder
from .engine import resnet_reference
from .engine.file import read_engine_tensors, write_engine_file
from .engine.linear import pack_linears
from .engine.reference import EngineEncoder
from .engine.weights import Tensors, Tower
from .errors import ExportError
from .graphs import write_image_graph, write_text_graph
from .manifest import BundleError, read_parts
from .progress import Track, silent, under
from .quantise import quantise_graph
from .sources.source import Source
from .tokenizer import Tokenizer

ONNX, ENGINE = "onnx", "engine"


@dataclass(frozen=True)
class EncoderFile:
    """An encoder as written, and what the manifest says of it: `runtime`, for the engine `architecture`, and of a text
    encoder `pooling`, `padTo` and `padId`."""

    path: Path
    facts: dict[str, Any]


class Encoders(Protocol):
    """What can write the encoders of a bundle."""

    def write(self, folder: Path, track: Track = silent) -> dict[str, EncoderFile]:
        """Writes into `folder`; the keys are "image" and, if there is a text encoder, "text"."""
        ...


@dataclass(frozen=True)
class FloatGraphs:
    """For onnxruntime. The float32 graphs that the bundle's are quantised from; kept to tell export errors from
    quantisation errors."""

    image: Path
    text: Path | None
    keep_image: tuple[str, ...] = ()
    keep_text: tuple[str, ...] = ()
    """names of weights that stay float in the bundle"""

    def write(self, folder: Path, track: Track = silent) -> dict[str, EncoderFile]:
        files = {}
        towers = [("image", self.image, self.keep_image, {})]
        if self.text:
            towers.append(("text", self.text, self.keep_text, {"pooling": "first-eot", "padTo": None}))
        for name, graph, keep_float, facts in track(towers, "int8 graphs"):
            files[name] = EncoderFile(folder / f"{name}.onnx", {"runtime": ONNX, **facts})
            quantise_graph(graph, files[name].path, keep_float)
        return files


Pack = Callable[[str, Tower, Track], tuple[Tensors, list[str]]]
""""image" or "text", and its encoder -> the tensors of the file, and the linears that are fast"""


def exact(name: str, tower: Tower, track: Track) -> tuple[Tensors, list[str]]:
    """All products are exact, and every weight is rounded by itself."""
    return pack_linears(tower.tensors), []


@dataclass(frozen=True)
class EngineEncoders:
    """For the engine: int8 weights in its own layout."""

    source: Source
    pack: Pack = exact

    def architectures(self) -> dict[str, dict[str, Any]]:
        """What the manifest says of "image" and "text". Raises ArchitectureError like `write`, but at once."""
        return {name: encoder.architecture() for name, encoder in self.source.encoders().items()}

    def write(self, folder: Path, track: Track = silent) -> dict[str, EncoderFile]:
        """Raises ArchitectureError for a checkpoint that the engine cannot run."""
        files = {}
        for name, architecture in self.architectures().items():
            tower = Tower(self.source.encoders()[name].tensors(), architecture)
            tensors, fast = self.pack(name, tower, under(f"{name} encoder", track))
            facts = {"runtime": ENGINE, "architecture": {**architecture, "fast": fast}}
            if name == "text":
                facts |= {"pooling": architecture["pooling"], **self.source.text.padding()}
            files[name] = EncoderFile(folder / f"{name}.safetensors", facts)
            write_engine_file(files[name].path, name, tensors)
        return files


def has_graphs(source: Source) -> bool:
    """Whether ONNX graphs can be made of a checkpoint: of Hugging Face's CLIPModel only."""
    return isinstance(source.model, CLIPModel)


def write_float_graphs(source: Source, folder: Path) -> FloatGraphs:
    """The encoders in float32, as `image.onnx` and `text.onnx` in `folder`."""
    if not has_graphs(source):
        kind = type(source.model).__name__
        raise ExportError(f"--runtime onnx is for Hugging Face's CLIPModel, {source.name} is a {kind} of {source.kind}")
    graphs = FloatGraphs(folder / "image.onnx", folder / "text.onnx" if source.text else None)
    write_image_graph(source.model, graphs.image)
    if graphs.text:
        write_text_graph(source.model, graphs.text)
    return graphs


def bundle_image_encoder(folder: Path, manifest: dict[str, Any], track: Track = silent) -> EncodeImages:
    """The image encoder of a bundle, on this machine."""
    image = manifest["image"]
    content = read_parts(folder, image["files"])
    if image["runtime"] == ONNX:
        return graph_image_encoder(content, track)
    encoder = resnet_reference.image_encoder(read_engine_tensors(content), image["architecture"])
    return image_encoder(encoder.embed_images, track, "images, engine weights")


def bundle_text_encoder(folder: Path, manifest: dict[str, Any], track: Track = silent) -> EncodeTexts:
    """The text encoder of a bundle, on this machine. Raises BundleError for a bundle without one."""
    text = manifest["text"]
    if text is None:
        raise BundleError(f"{manifest['id']} has no text encoder: it was exported with --image-only")
    content, tokenizer = read_parts(folder, text["files"]), bundle_tokenizer(folder, text)
    if text["runtime"] == ONNX:
        return graph_text_encoder(content, tokenizer, track)
    encoder = EngineEncoder(read_engine_tensors(content), text["architecture"])
    embed = partial(encoder.embed_texts, end_of_text=tokenizer.end_of_text, pad_id=text.get("padId"))
    return text_encoder(embed, tokenizer, track, "texts, engine weights")


def bundle_tokenizer(folder: Path, text: dict[str, Any]) -> Tokenizer:
    """The tokenizer of a bundle. `text`: the manifest's."""
    if text["tokenizer"]["kind"] == "clip-bpe":
        return ClipTokenizer(text["contextLength"], clean=text["tokenizer"].get("clean", LOWER))
    return read_edge_tokenizer(folder, text)
