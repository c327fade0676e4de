"""Writes the two encoders of any source as float32 ONNX graphs whose outputs have length 1.

Traced from the library's own forward pass. Does not quantise: see quantise.py.
"""

from __future__ import annotations

import textwrap
import warnings
from pathlib import Path

import torch
from torch import nn
from torch.onnx.errors import OnnxExporterError

from .encoders import filled_up
from .errors import ExportError
from .graph_attention import plain_attention
from .sources.source import Source, SourceEncoder

OPSET = 17


class EncoderGraph(nn.Module):
    """What is traced: `embed`, and the model whose weights it uses, so that they keep their names."""

    def __init__(self, model: nn.Module, encoder: SourceEncoder) -> None:
        super().__init__()
        self.model = model
        self.embed = encoder.embed

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.embed(inputs)


def write_image_graph(source: Source, path: Path) -> None:
    """pixel_values float32 [batch, 3, size, size] -> image_embeds float32 [batch, dim], unit rows."""
    # A batch of two: the exporter would bake a batch of one in.
    example = torch.zeros(2, 3, source.image_size, source.image_size)
    _write(source, "image", example, path, ("pixel_values", "image_embeds"), {0: "batch"})


def write_text_graph(source: Source, path: Path) -> None:
    """input_ids int32 [batch, length] -> text_embeds float32 [batch, dim], unit rows.

    Any length from 2 to the model's context works; but where the encoder sees the padding, only the context's length.
    """
    text = source.text
    ids = filled_up(text.tokenizer.encode(["a photo of a cat"])[0], text.padding())
    example = torch.tensor([ids, ids], dtype=torch.int32)
    axes = {0: "batch"} if text.padded else {0: "batch", 1: "length"}
    _write(source, "text", example, path, ("input_ids", "text_embeds"), axes)


def _write(
    source: Source, name: str, example: torch.Tensor, path: Path, names: tuple[str, str], axes: dict[int, str]
) -> None:
    graph = EncoderGraph(source.model, source.encoders()[name]).eval()
    input_name, output_name = names
    with torch.inference_mode(), plain_attention(), warnings.catch_warnings():
        # The exporter by tracing is deprecated; it is the one that keeps CLIP's dynamic lengths. Its warnings about
        # traced Python values are answered by the tests, which run other batches and lengths.
        warnings.simplefilter("ignore")
        try:
            torch.onnx.export(
                graph,
                (example,),
                str(path),
                dynamo=False,
                opset_version=OPSET,
                input_names=[input_name],
                output_names=[output_name],
                dynamic_axes={input_name: axes, output_name: {0: "batch"}},
            )
        except (OnnxExporterError, RuntimeError) as error:
            what = textwrap.shorten(str(error), 300, placeholder=" …")
            raise ExportError(
                f"{source.name}: PyTorch cannot write its {name} encoder as an ONNX graph: {what}"
            ) from error
