"""Convolutions with int8 weights, one scale per output channel. How they run was decided by measuring:

- Those of few weights per output channel, depthwise ones and the first, keep them in float16: what is rounded off a
  kernel of 9 or 49 weights does not average out. Merged branches make it worse, as one weight is then far larger.
- Others after a ReLU, in ResNets, are ConvInteger with activations of 8 bits.
- All others have float activations. DequantizeLinear makes the weight float in each run, which onnxruntime does not do
  beforehand, so that memory stays small. What a depthwise convolution or a GELU gives has a few large values, and one
  scale of 8 bits for all of it would cost too much.

Of a small random FastViT (golden/saved_open_clip.py, MOBILE) the worst of 5 photos has a cosine to PyTorch of 0.9991;
with 8 bits for all weights it had 0.978, and with 8 bits for activations 0.970, of branches that were not merged.
"""

from __future__ import annotations

import math

import numpy as np
import onnx
from onnx.helper import make_node

from .graph_rewriting import Rewriting, with_inputs
from .quantise_matmul import ZERO_POINT, add_integer_product

POOLS = ("AveragePool", "MaxPool")
FEW = 64
"""weights per output channel"""


def quantise_conv(rewriting: Rewriting, node: onnx.NodeProto) -> None:
    """Of a Conv whose kernel is constant."""
    kernel = rewriting.constant(node.input[1])
    if math.prod(kernel.dims[1:]) < FEW:
        rewriting.add(with_inputs(node, [node.input[0], rewriting.add_halved(kernel.name), *node.input[2:]]))
    elif not _is_grouped(node) and _follows_relu(rewriting, node.input[0]):
        _integer_conv(rewriting, node)
    else:
        _weights_alone(rewriting, node)


def _is_grouped(node: onnx.NodeProto) -> bool:
    return any(item.name == "group" and item.i > 1 for item in node.attribute)


def _follows_relu(rewriting: Rewriting, name: str) -> bool:
    """Whether `name` is what a ReLU gives, pooled or not."""
    while (maker := rewriting.maker(name)) is not None and maker.op_type in POOLS:
        name = maker.input[0]
    return maker is not None and maker.op_type == "Relu"


def quantise_kernel(kernel: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """[outputs, inputs, …] float32 -> int8 of the same shape, and float32 scales [outputs]."""
    rows = kernel.reshape(len(kernel), -1)
    scales = np.maximum(np.abs(rows).max(axis=1, keepdims=True), 1e-12) / 127
    return np.rint(rows / scales).astype(np.int8).reshape(kernel.shape), scales[:, 0].astype(np.float32)


def _weights_alone(rewriting: Rewriting, node: onnx.NodeProto) -> None:
    name = node.input[1]
    values, scales = quantise_kernel(rewriting.array(name))
    if f"{name}_float" not in rewriting.produced:
        inputs = [rewriting.add_constant(f"{name}_int8", values), rewriting.add_constant(f"{name}_scales", scales)]
        rewriting.add(make_node("DequantizeLinear", inputs, [f"{name}_float"], axis=0))
    rewriting.add(with_inputs(node, [node.input[0], f"{name}_float", *node.input[2:]]))


def _integer_conv(rewriting: Rewriting, node: onnx.NodeProto) -> None:
    name = node.input[1]
    values, scales = quantise_kernel(rewriting.array(name))
    per_channel = (-1, *[1] * (values.ndim - 2))  # of an output [batch, channels, height, width]
    scale = rewriting.add_constant(f"{name}_scale", scales.reshape(per_channel))
    bias = None
    if len(node.input) > 2:
        bias = rewriting.add_constant(f"{name}_bias", rewriting.array(node.input[2]).reshape(per_channel))
    around_zero_point = (values.astype(np.int16) + ZERO_POINT).astype(np.uint8)
    inputs = [node.input[0], rewriting.add_constant(f"{name}_int8", around_zero_point)]
    add_integer_product(rewriting, with_inputs(node, inputs, "ConvInteger"), scale, bias)
