"""Writes the two encoders as ONNX graphs whose outputs have length 1. Does not quantise: see quantise.py."""

from __future__ import annotations

import warnings
from pathlib import Path

import torch
from torch import nn
from transformers import CLIPModel

OPSET = 17
END_OF_TEXT = 49407


class ImageGraph(nn.Module):
    """pixel_values float32 [batch, 3, size, size] -> image_embeds float32 [batch, dim], unit rows."""

    def __init__(self, model: CLIPModel) -> None:
        super().__init__()
        self.encoder = model.vision_model
        self.projection = model.visual_projection

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        pooled = self.encoder(pixel_values=pixel_values).pooler_output  # [batch, width]
        return nn.functional.normalize(self.projection(pooled), dim=-1)


class TextGraph(nn.Module):
    """input_ids int32 [batch, length] -> text_embeds float32 [batch, dim], unit rows.

    The feature is the one at the first end-of-text token. The encoder is causal, so nothing after that token
    matters and prompts may be encoded at their own length.
    """

    def __init__(self, model: CLIPModel) -> None:
        super().__init__()
        self.encoder = model.text_model
        self.projection = model.text_projection

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        ids = input_ids.long()
        states = self.encoder(input_ids=ids).last_hidden_state  # [batch, length, width]
        # Not the encoder's own pooling: some checkpoints name a wrong end-of-text token in their config.
        end = (ids == END_OF_TEXT).int().argmax(dim=-1)  # [batch]
        pooled = states[torch.arange(ids.shape[0]), end]  # [batch, width]
        return nn.functional.normalize(self.projection(pooled), dim=-1)


def write_image_graph(model: CLIPModel, path: Path) -> None:
    """Writes the float32 image encoder to `path`."""
    size = model.config.vision_config.image_size
    # A batch of two: the exporter would bake a batch of one in.
    example = torch.zeros(2, 3, size, size)
    _write(ImageGraph(model), example, path, "pixel_values", "image_embeds", {0: "batch"})


def write_text_graph(model: CLIPModel, path: Path) -> None:
    """Writes the float32 text encoder to `path`. Any length from 2 to the model's context works."""
    example = torch.tensor([[49406, 320, 1125, END_OF_TEXT, 0], [49406, 320, 1125, 539, END_OF_TEXT]]).int()
    _write(TextGraph(model), example, path, "input_ids", "text_embeds", {0: "batch", 1: "length"})


def _write(
    graph: nn.Module, example: torch.Tensor, path: Path, input_name: str, output_name: str, axes: dict[int, str]
) -> None:
    with torch.inference_mode(), warnings.catch_warnings():
        # The exporter by tracing is deprecated; it is the one that keeps CLIP's dynamic lengths. Its warnings about
        # traced Python values are answered by the tests, which run other batches and lengths.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            graph.eval(),
            (example,),
            str(path),
            dynamo=False,
            opset_version=OPSET,
            input_names=[input_name],
            output_names=[output_name],
            dynamic_axes={input_name: axes, output_name: {0: "batch"}},
        )
