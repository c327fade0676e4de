"""The engine's arithmetic in PyTorch, from the engine's own tensors: what an engine bundle's embeddings should be.

Which product a linear takes is read from the tensors: a fast one has a `start` (engine/linear.py). Weights are the int8
ones times their scales; activations are rounded per row (one token), as the linear's product does:
- exact: to int16, scale = max|x| / amax, amax = min(32767, floor((2^31 - 1) / (127 K))), the most that cannot overflow
  an int32 sum of K products with weights of -127..127;
- fast: in groups of 128 inputs, each with a scale of its own, to the codes 1..127 about 64, scale = max|x| / 63; or,
  where the inputs come with a factor and none is negative (fc2's), to the codes 0..127, scale = max x / 127.
All else (layer norm, attention, GELU, residual sums) is float32 here; the engine's approximations of exp and GELU, and
whatever it quantises inside attention, are not modelled.

A row's quantisation does not depend on other rows: the same image or text gives the same embedding in any batch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from .file import EngineFileError
from .folding import FLOOR
from .linear import GROUP, PackedLinear, unpack_linear
from .weights import Tower

INT8, INT16, INT32 = 127, 32767, 2**31 - 1

ACTIVATIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "quick_gelu": lambda x: x * torch.sigmoid(1.702 * x),
    "gelu": nn.functional.gelu,
    "gelu_tanh": lambda x: nn.functional.gelu(x, approximate="tanh"),
}


def largest_activation(inputs: int) -> int:
    """amax: the largest int16 that a row of so many inputs may hold."""
    return min(INT16, INT32 // (INT8 * inputs))


def quantise_activations(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """[..., K] float32 -> whole numbers of the same shape (as float64), and scales [..., 1]; a row of zeros has 0."""
    amax = largest_activation(x.shape[-1])
    largest = x.abs().amax(-1, keepdim=True)
    inverse = torch.where(largest > 0, amax / largest, 0)
    return torch.round(x * inverse).double(), largest / amax


def fast_product(x: torch.Tensor, linear: PackedLinear) -> torch.Tensor:
    """[..., K] -> [..., N], without the outputs' scales. A group's sums are whole and below 2^24: exact in float32."""
    limit = INT8 - linear.zero
    y = torch.zeros(*x.shape[:-1], len(linear.codes))
    for first in range(0, x.shape[-1], GROUP):
        group = x[..., first : first + GROUP]
        largest = group.abs().amax(-1, keepdim=True)
        codes = torch.round(group * torch.where(largest > 0, limit / largest, 0)).clamp(min=-linear.zero)
        y += codes @ torch.from_numpy(linear.codes[:, first : first + GROUP]).float().T * (largest / limit)
    return y


def exact_product(x: torch.Tensor, linear: PackedLinear) -> torch.Tensor:
    """[..., K] -> [..., N], without the outputs' scales. The sum of whole numbers is exact, in float64 as in int32."""
    rows, scales = quantise_activations(x)
    return (rows @ torch.from_numpy(linear.codes).double().T).float() * scales


Linears = Callable[[str, torch.Tensor], torch.Tensor]
"""A linear's name and its inputs [..., K] -> its outputs [..., N]"""


class PackedLinears:
    """The products of the engine, of an engine's file."""

    def __init__(self, tensors: Mapping[str, np.ndarray]) -> None:
        self.tensors = tensors
        self.linears: dict[str, PackedLinear] = {}

    def __call__(self, name: str, x: torch.Tensor) -> torch.Tensor:
        if name not in self.linears:
            for key in (f"{name}.weight", f"{name}.scale"):
                if key not in self.tensors:
                    raise EngineFileError(f"tensor {key} is missing")
            self.linears[name] = unpack_linear(self.tensors, name, x.shape[-1])
        linear = self.linears[name]
        y = (exact_product if linear.zero is None else fast_product)(x, linear) * torch.from_numpy(linear.scale)
        return y if linear.bias is None else y + torch.from_numpy(linear.bias)


class FloatLinears:
    """Plain products in float32, of an encoder that is not packed yet."""

    def __init__(self, tensors: Mapping[str, np.ndarray]) -> None:
        self.tensors = {name: torch.from_numpy(values) for name, values in tensors.items()}

    def __call__(self, name: str, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.linear(x, self.tensors[f"{name}.weight"], self.tensors.get(f"{name}.bias"))


class EngineEncoder:
    """One encoder of an engine bundle."""

    def __init__(
        self, tensors: Mapping[str, np.ndarray], architecture: dict[str, Any], linears: Linears | None = None
    ) -> None:
        self.tensors = tensors
        self.architecture = {"classToken": True, "projection": True, **architecture}  # CLIP's need not say it
        self.linear = linears or PackedLinears(tensors)

    @torch.inference_mode()
    def embed_images(self, pixels: torch.Tensor) -> torch.Tensor:
        """float32 [batch, 3, size, size] -> float32 [batch, dim], unit rows."""
        patch = self.architecture["patch"]
        columns = nn.functional.unfold(pixels, patch, stride=patch).transpose(1, 2)  # [batch, patches, 3 patch^2]
        x = self.linear("patch", columns)
        if self.architecture["classToken"]:
            x = torch.cat([self.get("class").expand(len(pixels), 1, -1), x], dim=1)
        x = x + self.get("positions")
        if self.architecture["preNorm"]:
            x = self.norm("pre_norm", x)
        return self.finish(self.pool(self.layers(x, causal=False)))

    @torch.inference_mode()
    def embed_texts(self, ids: torch.Tensor, end_of_text: int, pad_id: int | None = None) -> torch.Tensor:
        """Token ids [batch, length] -> float32 [batch, dim], unit rows, of the feature at each first `end_of_text`, or
        at the last token. `pad_id`: what fills the texts up to the context's length; None where they stay as they are.
        """
        positions = self.get("positions")
        if pad_id is not None:
            ids = nn.functional.pad(ids, (0, len(positions) - ids.shape[1]), value=pad_id)
        rows = self.get("tokens.weight")[ids].float() * self.get("tokens.scale")[ids, None]
        x = self.layers(rows + positions[: ids.shape[1]], self.architecture["causal"])
        if self.architecture["pooling"] == "last":
            return self.finish(self.norm("post_norm", x[:, -1]))
        end = (ids == end_of_text).int().argmax(dim=-1)
        return self.finish(self.norm("post_norm", x[torch.arange(len(ids)), end]))

    def layers(self, x: torch.Tensor, causal: bool) -> torch.Tensor:
        """[batch, tokens, width] -> the same, through all layers."""
        activation = ACTIVATIONS[self.architecture["activation"]]
        for name in (f"layers.{i}" for i in range(self.architecture["layers"])):
            x = x + self.attention(name, self.norm(f"{name}.norm1", x), causal)
            hidden = activation(self.linear(f"{name}.fc1", self.norm(f"{name}.norm2", x)))
            if f"{name}.fc2.factor" in self.tensors:
                hidden = (hidden + FLOOR) * self.get(f"{name}.fc2.factor")
            x = x + self.linear(f"{name}.fc2", hidden)
        return x

    def attention(self, name: str, x: torch.Tensor, causal: bool) -> torch.Tensor:
        batch, tokens, width = x.shape
        heads = self.architecture["heads"]
        parts = self.linear(f"{name}.qkv", x).view(batch, tokens, 3, heads, width // heads)
        q, k, v = parts.permute(2, 0, 3, 1, 4)  # each [batch, heads, tokens, head width]
        mixed = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=causal, scale=1.0)
        return self.linear(f"{name}.out", mixed.transpose(1, 2).reshape(batch, tokens, width))

    def pool(self, x: torch.Tensor) -> torch.Tensor:
        """The image's tokens [batch, tokens, width] -> [batch, width], the last layer norm included."""
        pooling = self.architecture["pooling"]
        if pooling == "attention":
            return self.attention_pool(self.norm("post_norm", x))
        first = int(self.architecture["classToken"])
        return self.norm("post_norm", x[:, first:].mean(dim=1) if pooling == "mean" else x[:, 0])

    def attention_pool(self, x: torch.Tensor) -> torch.Tensor:
        batch, tokens, width = x.shape
        heads = self.architecture["heads"]
        k, v = self.linear("pool.kv", x).view(batch, tokens, 2, heads, width // heads).permute(2, 0, 3, 1, 4)
        q = self.get("pool.query").view(heads, 1, -1).expand(batch, -1, -1, -1)
        mixed = nn.functional.scaled_dot_product_attention(q, k, v, scale=1.0)
        y = self.linear("pool.out", mixed.reshape(batch, width))
        hidden = ACTIVATIONS[self.architecture["activation"]](self.linear("pool.fc1", self.norm("pool.norm", y)))
        return y + self.linear("pool.fc2", hidden)

    def finish(self, pooled: torch.Tensor) -> torch.Tensor:
        projected = self.linear("projection", pooled) if self.architecture["projection"] else pooled
        return nn.functional.normalize(projected, dim=-1)

    def norm(self, name: str, x: torch.Tensor) -> torch.Tensor:
        weight, bias = self.get(f"{name}.weight"), self.get(f"{name}.bias")
        return nn.functional.layer_norm(x, x.shape[-1:], weight, bias, self.architecture["layerNormEps"])

    def get(self, name: str) -> torch.Tensor:
        return torch.from_numpy(self.array(name))

    def array(self, name: str) -> np.ndarray:
        if name not in self.tensors:
            raise EngineFileError(f"tensor {name} is missing")
        return self.tensors[name]


def float_encoder(tower: Tower) -> EngineEncoder:
    """An encoder that is not packed yet."""
    return EngineEncoder(tower.tensors, tower.architecture, FloatLinears(tower.tensors))
