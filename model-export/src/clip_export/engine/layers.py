"""Other libraries' layers in the shape of transformers' `CLIPEncoderLayer`, which engine/weights.py reads."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import nn

from .architecture import ArchitectureError
from .reference import ACTIVATIONS


@dataclass(frozen=True)
class Linear:
    weight: torch.Tensor
    """[outputs, inputs]"""
    bias: torch.Tensor
    """[outputs]"""


@dataclass(frozen=True)
class Attention:
    head_dim: int
    q_proj: Linear
    k_proj: Linear
    v_proj: Linear
    out_proj: Linear


@dataclass(frozen=True)
class Mlp:
    fc1: Linear
    fc2: Linear


@dataclass(frozen=True)
class Layer:
    layer_norm1: nn.LayerNorm
    self_attn: Attention
    layer_norm2: nn.LayerNorm
    mlp: Mlp


def attention(weight: torch.Tensor, bias: torch.Tensor | None, out: Linear, heads: int) -> Attention:
    """`weight` [3D, D] and `bias` [3D]: queries, keys and values in one."""
    bias = torch.zeros(len(weight)) if bias is None else bias
    q, k, v = (Linear(*rows) for rows in zip(weight.chunk(3), bias.chunk(3), strict=True))
    return Attention(weight.shape[1] // heads, q, k, v, out)


def scaled(linear: nn.Linear, layer_scale: nn.Module) -> Linear:
    """The linear and the LayerScale behind it (Touvron et al. 2021, §2) as one: gamma is a factor of its outputs."""
    bias = torch.zeros(len(linear.weight)) if linear.bias is None else linear.bias
    if isinstance(layer_scale, nn.Identity):
        return Linear(linear.weight, bias)
    return Linear(linear.weight * layer_scale.gamma[:, None], bias * layer_scale.gamma)


def activation_of(name: str, modules: Iterable[nn.Module]) -> str:
    """The manifest's name of the one activation that the modules compute: by what it computes, since every library
    has classes of its own. Raises ArchitectureError naming those that the engine does not have, or that differ."""
    found = {}
    for module in modules:
        found.setdefault(_activation(name, module), module)
    if len(found) > 1:
        raise ArchitectureError(f"{name} encoder: layers differ in their activation: {', '.join(found)}")
    return next(iter(found))


@torch.inference_mode()
def _activation(name: str, module: nn.Module) -> str:
    x = torch.linspace(-4, 4, 257)
    y = module(x.clone())
    for known, function in ACTIVATIONS.items():
        if torch.allclose(function(x), y, atol=2e-6):  # gelu and gelu_tanh are 5e-4 apart
            return known
    raise ArchitectureError(
        f"{name} encoder: the activation {type(module).__name__} is none of {', '.join(ACTIVATIONS)}"
    )


def eps_of(name: str, modules: Iterable[nn.Module]) -> float:
    """The one epsilon of all layer norms in the modules. Raises ArchitectureError if there are several."""
    norms = [norm for module in modules for norm in module.modules() if isinstance(norm, nn.LayerNorm)]
    values = sorted({norm.eps for norm in norms})
    if len(values) > 1:
        raise ArchitectureError(f"{name} encoder: layer norms have the epsilons {values[0]:g} and {values[1]:g}")
    return values[0]
