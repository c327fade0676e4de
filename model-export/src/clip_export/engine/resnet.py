"""CLIP's modified ResNet for the engine: open_clip's `ModifiedResNet`, as OpenAI's RN50, RN101, RN50x4 … are.

A batch norm is folded into the convolution before it: gamma / sqrt(variance + eps) is a factor of its outputs. A
convolution is a linear of neighbourhoods, whose inputs are ordered y, x, channel. Channels are padded with zeros to
multiples of 8, which only very small models need.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from open_clip.modified_resnet import AttentionPool2d, Bottleneck, ModifiedResNet
from torch import nn

from .architecture import PANEL, ArchitectureError
from .weights import Tensors, array, linear

RESNET = "resnet"
"""the manifest's `kind`; a Vision Transformer has none"""
COLOURS = 3
HALVINGS = 32
"""the image's side to that of what the attention sees"""


def image_architecture(visual: ModifiedResNet) -> dict[str, Any]:
    """The manifest's `image.architecture`. Raises ArchitectureError for an encoder that the engine cannot run."""
    width, pool = visual.conv3.out_channels, visual.attnpool
    if not isinstance(pool, AttentionPool2d):
        raise ArchitectureError(f"image encoder: attnpool is a {type(pool).__name__}, the engine has AttentionPool2d")
    if width % 2:
        raise ArchitectureError(f"image encoder: the width {width} is odd, the engine takes even ones")
    for what, value in {
        "head width": HALVINGS * width / pool.num_heads,
        "embedding": pool.c_proj.out_features,
    }.items():
        if value % PANEL:
            raise ArchitectureError(f"image encoder: the {what} {value:g} is not a multiple of {PANEL}")
    _check_size(visual.image_size)
    stages = [len(stage) for stage in _stages(visual)]
    return {"kind": RESNET, "stages": stages, "width": width, "heads": pool.num_heads}


def image_tensors(visual: ModifiedResNet) -> Tensors:
    """The image encoder, in the order of its use. `stem.0` to `stem.2`; `stages.{i}.{j}.`: `conv1`, `conv2`, of the
    first of a stage `downsample`, `conv3`; and what `_pool_tensors` has."""
    tensors = {
        **_convolution("stem.0", visual.conv1, visual.bn1, COLOURS),
        **_convolution("stem.1", visual.conv2, visual.bn2),
        **_convolution("stem.2", visual.conv3, visual.bn3),
    }
    for i, stage in enumerate(_stages(visual)):
        for j, block in enumerate(stage):
            tensors |= _bottleneck(f"stages.{i}.{j}", block)
    return {**tensors, **_pool_tensors(visual.attnpool)}


def _stages(visual: ModifiedResNet) -> list[nn.Sequential]:
    return [visual.layer1, visual.layer2, visual.layer3, visual.layer4]


def _check_size(size: int) -> None:
    """What the convolutions and pools leave of the image must be what its positions are for."""
    left = (size + 1) // 2
    for _ in range(4):
        left //= 2
    if left != size // HALVINGS or left == 0:
        kept = f"{size // HALVINGS} x {size // HALVINGS}"
        raise ArchitectureError(
            f"image encoder: of {size} pixels a side {left} x {left} are left in the end, its positions are for {kept}"
        )


def _bottleneck(name: str, block: Bottleneck) -> Tensors:
    down = block.downsample
    return {
        **_convolution(f"{name}.conv1", block.conv1, block.bn1),
        **_convolution(f"{name}.conv2", block.conv2, block.bn2),
        **({} if down is None else _convolution(f"{name}.downsample", down[1], down[2])),
        **_convolution(f"{name}.conv3", block.conv3, block.bn3),
    }


def _convolution(name: str, convolution: nn.Conv2d, norm: nn.BatchNorm2d, multiple: int = PANEL) -> Tensors:
    """A linear: 9 or 1 times its input channels, padded to a multiple of `multiple` -> its output channels."""
    factor = array(norm.weight).astype(np.float64) / np.sqrt(array(norm.running_var).astype(np.float64) + norm.eps)
    bias = array(norm.bias) - array(norm.running_mean) * factor
    weight = (array(convolution.weight) * factor[:, None, None, None]).transpose(0, 2, 3, 1)  # [N, y, x, channels]
    outputs, _, _, channels = weight.shape
    padded = np.pad(weight, ((0, -outputs % PANEL), (0, 0), (0, 0), (0, -channels % multiple)))
    bias = np.pad(bias, (0, -outputs % PANEL))
    return linear(name, padded.reshape(len(padded), -1).astype(np.float32), bias.astype(np.float32))


def _pool_tensors(pool: AttentionPool2d) -> Tensors:
    """`positions` F32 [1 + pixels, D], the mean's first; `pool.q` [D <- D], scaled by headDim^-0.5, bias too; `pool.kv`
    [2D <- D]; `projection`."""
    factor = np.float32((pool.q_proj.in_features // pool.num_heads) ** -0.5)
    keys_values = [pool.k_proj, pool.v_proj]
    return {
        "positions": array(pool.positional_embedding),
        **linear("pool.q", array(pool.q_proj.weight) * factor, array(pool.q_proj.bias) * factor),
        **linear(
            "pool.kv",
            np.concatenate([array(part.weight) for part in keys_values]),
            np.concatenate([array(part.bias) for part in keys_values]),
        ),
        **linear("projection", array(pool.c_proj.weight), array(pool.c_proj.bias)),
    }
