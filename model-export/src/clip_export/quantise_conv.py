"""Convolutions with int8 weights, one scale per output channel.

Measured in onnxruntime-web on one thread, ConvInteger takes two thirds of the time of float convolutions; its
activations have 8 bits, as those of a matrix product. Where it would cost more than it gives, only the weight is int8,
and DequantizeLinear makes it float in each run (onnxruntime does not do that beforehand, so memory stays small): in
grouped convolutions, depthwise ones above all, for which ConvInteger has no fast kernel, and in those that read the
pixels, which would be rounded once more.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx.helper import get_node_attr_value, make_node

from .graph_rewriting import Rewriting
from .quantise_matmul import ZERO_POINT, add_integer_product


def quantise_conv(rewriting: Rewriting, node: onnx.NodeProto) -> None:
    """Of a Conv whose kernel is constant."""
    pixels = {item.name for item in rewriting.model.graph.input}
    groups = next((get_node_attr_value(node, "group") for item in node.attribute if item.name == "group"), 1)
    if groups > 1 or node.input[0] in pixels:
        _weights_alone(rewriting, node)
    else:
        _integer_conv(rewriting, node)


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
