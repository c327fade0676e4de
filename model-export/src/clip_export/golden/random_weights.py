"""Random weights that int8 holds exactly, for any model of the CLIP family."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import torch
from torch import nn

Model = TypeVar("Model", bound=nn.Module)

LAYERS = (nn.LayerNorm, nn.BatchNorm2d, nn.Linear, nn.Conv2d, nn.Embedding)

TRANSPOSED = ("proj", "text_projection")
"""open_clip's projections are parameters [inputs, outputs]"""


def fill(model: Model, random: np.random.Generator, outliers: bool = False) -> Model:
    """Draws every parameter of `model` but those of the similarity from `random`; returns it.

    `outliers`: two channels of every layer norm are 30 times as large.
    """
    with torch.no_grad():
        for name, module in model.named_modules():
            if isinstance(module, nn.LayerNorm):
                fill_norm(module, outliers, random)
            elif isinstance(module, nn.BatchNorm2d):
                fill_batch_norm(module, random)
            elif isinstance(module, nn.Linear | nn.Conv2d):
                fill_linear(module, random)
            elif isinstance(module, nn.Embedding):
                table = "token" in name
                rows = exact(module.weight.shape, 1 / 128, random) if table else random.normal(size=module.weight.shape)
                module.weight.copy_(torch.from_numpy(rows))
        for module in model.modules():
            if not isinstance(module, LAYERS):
                for name, parameter in module.named_parameters(recurse=False):
                    fill_parameter(name, parameter, random)
    return model


def fill_parameter(name: str, parameter: nn.Parameter, random: np.random.Generator) -> None:
    """A parameter that is none of a layer of its own."""
    if name.startswith("logit_"):
        return
    if name == "in_proj_weight":
        values = exact(parameter.shape, scale_for(parameter.shape[1]), random)
    elif name in TRANSPOSED:
        values = exact(parameter.shape[::-1], scale_for(parameter.shape[0]), random).T
    elif name == "gamma":
        values = random.uniform(0.3, 1, parameter.shape)
    else:  # biases, class tokens, positions, probes
        values = random.normal(size=parameter.shape) * (0.2 if "bias" in name else 1)
    parameter.copy_(torch.from_numpy(values))


def fill_norm(norm: nn.LayerNorm | nn.BatchNorm2d, outliers: bool, random: np.random.Generator) -> None:
    width = len(norm.weight)
    norm.weight.copy_(torch.from_numpy(1 + 0.2 * random.normal(size=width)))
    norm.bias.copy_(torch.from_numpy(0.2 * random.normal(size=width)))
    if outliers:
        norm.weight[random.choice(width, 2, replace=False)] *= 30


def fill_batch_norm(norm: nn.BatchNorm2d, random: np.random.Generator) -> None:
    """Its statistics too. Folded, it scales the rows of a weight, which stay whole numbers times one scale each.

    0.8 times as large as a layer norm's: nothing makes what bottlenecks add up small again before the attention.
    """
    fill_norm(norm, False, random)
    norm.weight.mul_(0.8)
    norm.running_mean.copy_(torch.from_numpy(0.2 * random.normal(size=len(norm.weight))))
    norm.running_var.copy_(torch.from_numpy(random.uniform(0.3, 1.5, len(norm.weight))))


def fill_linear(linear: nn.Linear | nn.Conv2d, random: np.random.Generator) -> None:
    shape = linear.weight.shape
    inputs = linear.weight[0].numel()
    linear.weight.copy_(torch.from_numpy(exact((shape[0], inputs), scale_for(inputs), random)).reshape(shape))
    if linear.bias is not None:
        linear.bias.copy_(torch.from_numpy(0.2 * random.normal(size=len(linear.bias))))


def scale_for(inputs: int) -> float:
    """A power of two that makes outputs of about the size of the inputs."""
    return 2.0 ** round(np.log2(1.3 / (73 * inputs**0.5)))


def exact(shape: tuple[int, ...], scale: float, random: np.random.Generator) -> np.ndarray:
    """[rows, columns]: whole numbers of -127..127 times `scale`, with a 127 or -127 in every row."""
    values = random.integers(-127, 128, shape)
    rows = np.arange(shape[0])
    values[rows, random.integers(0, shape[1], shape[0])] = 127 * random.choice([-1, 1], shape[0])
    return (values * scale).astype(np.float32)
