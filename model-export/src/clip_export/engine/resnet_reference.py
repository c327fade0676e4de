"""The engine's arithmetic of a ResNet in PyTorch, from the engine's own tensors: as engine/reference.py, all of whose
products are exact. A row is a pixel's neighbourhood, or a pixel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.functional import avg_pool2d, unfold

from .file import EngineFileError
from .reference import EngineEncoder, Linears, PackedLinears
from .resnet import RESNET


class ResNetEncoder:
    """The image encoder of an engine bundle whose architecture is of the kind "resnet"."""

    def __init__(
        self, tensors: Mapping[str, np.ndarray], architecture: dict[str, Any], linears: Linears | None = None
    ) -> None:
        self.tensors = tensors
        self.architecture = architecture
        self.linear = linears or PackedLinears(tensors)

    @torch.inference_mode()
    def embed_images(self, pixels: torch.Tensor) -> torch.Tensor:
        """float32 [batch, 3, size, size] -> float32 [batch, dim], unit rows.

        One by one: the neighbourhoods of an image of 224 pixels take 30 MB in float64.
        """
        return torch.cat([self.embed(image[None]) for image in pixels])

    def embed(self, pixels: torch.Tensor) -> torch.Tensor:
        x = self.neighbours("stem.0", pixels.permute(0, 2, 3, 1), step=2)
        x = halved(self.neighbours("stem.2", self.neighbours("stem.1", x)))
        for i, count in enumerate(self.architecture["stages"]):
            for j in range(count):
                x = self.bottleneck(f"stages.{i}.{j}", x, pools=i > 0 and j == 0)
        return nn.functional.normalize(self.linear("projection", self.pool(x.flatten(1, 2))), dim=-1)

    def bottleneck(self, name: str, x: torch.Tensor, pools: bool) -> torch.Tensor:
        """[batch, side, side, channels]"""
        hidden = self.neighbours(f"{name}.conv2", self.linear(f"{name}.conv1", x).relu())
        if pools:
            x, hidden = halved(x), halved(hidden)
        if f"{name}.downsample.weight" in self.tensors:
            x = self.linear(f"{name}.downsample", x)
        return (x + self.linear(f"{name}.conv3", hidden)).relu()

    def neighbours(self, name: str, x: torch.Tensor, step: int = 1) -> torch.Tensor:
        """[batch, side, side, channels] -> [batch, ceil(side / step), the same, outputs]"""
        batch, side, _, channels = x.shape
        columns = unfold(x.permute(0, 3, 1, 2), 3, padding=1, stride=step)  # [batch, channels * 9, pixels]
        rows = columns.unflatten(1, (channels, 9)).permute(0, 3, 2, 1).flatten(2)
        across = -(-side // step)
        return self.linear(name, rows).relu().view(batch, across, across, -1)

    def pool(self, x: torch.Tensor) -> torch.Tensor:
        """[batch, pixels, width] -> [batch, width]: what the mean of all sees."""
        batch, _, width = x.shape
        heads = self.architecture["heads"]
        x = torch.cat([x.mean(dim=1, keepdim=True), x], dim=1) + self.positions()
        k, v = self.linear("pool.kv", x).view(batch, -1, 2, heads, width // heads).permute(2, 0, 3, 1, 4)
        q = self.linear("pool.q", x[:, :1]).view(batch, 1, heads, -1).transpose(1, 2)
        mixed = nn.functional.scaled_dot_product_attention(q, k, v, scale=1.0)  # [batch, heads, 1, head width]
        return mixed.reshape(batch, width)

    def positions(self) -> torch.Tensor:
        if "positions" not in self.tensors:
            raise EngineFileError("tensor positions is missing")
        return torch.from_numpy(self.tensors["positions"])


def halved(x: torch.Tensor) -> torch.Tensor:
    """The mean of each 2 x 2 pixels: [batch, side, side, channels] -> [batch, side // 2, side // 2, channels]."""
    return avg_pool2d(x.permute(0, 3, 1, 2), 2).permute(0, 2, 3, 1)


def image_encoder(tensors: Mapping[str, np.ndarray], architecture: dict[str, Any]) -> EngineEncoder | ResNetEncoder:
    """Of an engine bundle, whichever kind it is of."""
    return (ResNetEncoder if architecture.get("kind") == RESNET else EngineEncoder)(tensors, architecture)
