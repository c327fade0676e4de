"""The engine's arithmetic in PyTorch, from the engine's own files: what an engine bundle's embeddings should be.

Weights are the int8 ones times their scales. The inputs of every linear are quantised per row (one token) to int16:
scale = max|x| / amax, amax = min(32767, floor((2^31 - 1) / (127 K))), the most that cannot overflow an int32 sum of K
products with weights of -127..127. All else (layer norm, attention, GELU, residual sums) is float32 here; the engine's
approximations of exp and GELU, and whatever it quantises inside attention, are not modelled.

A row's quantisation does not depend on other rows: the same image or text gives the same embedding in any batch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

from .engine_file import EngineFileError, read_engine_tensors
from .engine_weights import unpack

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


class EngineEncoder:
    """One encoder of an engine bundle."""

    def __init__(self, content: bytes, architecture: dict[str, Any]) -> None:
        self.tensors = read_engine_tensors(content)
        self.architecture = {"classToken": True, "projection": True, **architecture}  # CLIP's need not say it
        self.weights: dict[str, torch.Tensor] = {}

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

    def linear(self, name: str, x: torch.Tensor) -> torch.Tensor:
        """[..., K] -> [..., N]. The sum of whole numbers is exact: float64 here, int32 in the engine."""
        if name not in self.weights:  # [N, K]
            packed = self.array(f"{name}.weight")
            self.weights[name] = torch.from_numpy(unpack(packed, x.shape[-1]).astype(np.float64))
        rows, scales = quantise_activations(x)
        y = (rows @ self.weights[name].T).float() * (scales * self.get(f"{name}.scale"))
        return y + self.get(f"{name}.bias") if f"{name}.bias" in self.tensors else y

    def norm(self, name: str, x: torch.Tensor) -> torch.Tensor:
        weight, bias = self.get(f"{name}.weight"), self.get(f"{name}.bias")
        return nn.functional.layer_norm(x, x.shape[-1:], weight, bias, self.architecture["layerNormEps"])

    def get(self, name: str) -> torch.Tensor:
        return torch.from_numpy(self.array(name))

    def array(self, name: str) -> np.ndarray:
        if name not in self.tensors:
            raise EngineFileError(f"tensor {name} is missing")
        return self.tensors[name]
