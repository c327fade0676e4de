"""Random weights as trained ones are distributed, which int8 does not hold exactly."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import nn

Model = TypeVar("Model", bound=nn.Module)

NORMS = (nn.LayerNorm, nn.modules.batchnorm._BatchNorm)
SHARPER = 2.0
MATRICES = (nn.Linear, nn.Conv2d, nn.Embedding)


@torch.no_grad()
def draw(model: Model, seed: int) -> Model:
    """Draws every parameter but the similarity's, the same every time; returns the model in eval mode.

    Matrices keep the size of what goes through them, norms are some way off 1 and 0, so that different pictures and
    texts get embeddings that differ.
    """
    random = torch.Generator().manual_seed(seed)
    for path, module in model.named_modules():
        for name, parameter in module.named_parameters(recurse=False):
            if not name.startswith("logit_"):
                values = _values(module, name, parameter, random)
                parameter.copy_(values * _emphasis(f"{path}.{name}", parameter))
    return model.eval()


def _values(module: nn.Module, name: str, parameter: nn.Parameter, random: torch.Generator) -> torch.Tensor:
    values = torch.randn(parameter.shape, generator=random)
    if isinstance(module, NORMS):
        return 1 + 0.2 * values if name == "weight" else 0.2 * values
    if "bias" in name:
        return 0.1 * values
    if isinstance(module, nn.Embedding):
        return values
    if isinstance(module, MATRICES) or name == "in_proj_weight":
        return values * parameter[0].numel() ** -0.5
    if name in ("proj", "text_projection"):  # open_clip's: [inputs, outputs]
        return values * parameter.shape[0] ** -0.5
    # how much of a layer goes on; all others are positions and class tokens
    return values * 0.5 + 0.5 if name in ("gamma", "weight", "scale") else values


def _emphasis(path: str, parameter: nn.Parameter) -> torch.Tensor | float:
    """Attention that looks at some tokens more than at others, and positions that do not drown what stands there.

    A bottleneck's last norm begins training at zero (open_clip's `init_parameters`) and stays small; at 1 the errors of
    one block would grow in the next. Its attention tells pictures apart as it is.
    """
    if "pos" in path or path.endswith("bn3.weight"):
        return 0.3
    if "attnpool" in path:
        return 1
    if any(name in path for name in ("in_proj_weight", "qkv.weight")):  # queries, keys, values
        rows = len(parameter) // 3
        return torch.cat([torch.full((2 * rows, 1), SHARPER), torch.ones(rows, 1)])
    return SHARPER if any(name in path for name in ("q_proj.weight", "k_proj.weight")) else 1
