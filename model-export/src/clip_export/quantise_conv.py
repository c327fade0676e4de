"""Convolutions with int8 weights, one scale per output channel. How they run was decided by measuring:

- After a ReLU, in ResNets, as ConvInteger with activations of 8 bits.
- All others with float activations: DequantizeLinear makes the weight float in each run, which onnxruntime does not do
  beforehand, so that memory stays small. What a depthwise convolution or a GELU gives has a few large values, and one
  scale of 8 bits for all of it costs too much: of a small random FastViT the worst photo then has a cosine of 0.970 to
  PyTorch instead of 0.9996. Depthwise convolutions themselves have no fast ConvInteger, and pixels would be rounded
  once more.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx.helper import get_node_attr_value, make_node

from .graph_rewriting import Rewriting
from .quantise_matmul import ZERO_POINT, add_integer_product

POOLS = ("AveragePool", "MaxPool")


def quantise_conv(rewriting: Rewriting, node: onnx.NodeProto) -> None:
    """Of a Conv whose kernel is constant."""
    groups = next((get_node_attr_value(node, "group") for item in node.attribute if item.name == "group"), 1)
    if groups == 1 and _follows_relu(rewriting, node.input[0]):
        _integer_conv(rewriting, node)
    else:
        _weights_alone(rewriting, node)


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
    conv = _copy(node, "Conv")
    conv.input.extend([node.input[0], f"{name}_float", *node.input[2:]])
    rewriting.add(conv)


def _integer_conv(rewriting: Rewriting, node: onnx.NodeProto) -> None:
    name = node.input[1]
    values, scales = quantise_kernel(rewriting.array(name))
    per_channel = (-1, *[1] * (values.ndim - 2))  # of an output [batch, channels, height, width]
    scale = rewriting.add_constant(f"{name}_scale", scales.reshape(per_channel))
    bias = None
    if len(node.input) > 2:
        bias = rewriting.add_constant(f"{name}_bias", rewriting.array(node.input[2]).reshape(per_channel))
    conv = _copy(node, "ConvInteger")
    around_zero_point = (values.astype(np.int16) + ZERO_POINT).astype(np.uint8)
    conv.input.extend([node.input[0], rewriting.add_constant(f"{name}_int8", around_zero_point)])
    add_integer_product(rewriting, conv, scale, bias)


def _copy(node: onnx.NodeProto, kind: str) -> onnx.NodeProto:
    """Without inputs."""
    made = make_node(kind, [], node.output, node.name)
    made.attribute.extend(node.attribute)
    return made
