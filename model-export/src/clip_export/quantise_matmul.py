"""A product with a constant matrix as DynamicQuantizeLinear + MatMulInteger, and what it shares with convolutions."""

from __future__ import annotations

import numpy as np
import onnx
from onnx.helper import get_node_attr_value, make_node

from .graph_rewriting import FLOAT, Rewriting

# The weights are symmetric int8 stored as uint8 around 128: the same numbers in the same bytes, but processors without
# VNNI add uint8 x int8 products in 16 bits and saturate, so the same graph would answer differently from one machine
# to the next. uint8 x uint8 is exact everywhere, and in the browser's wasm just as fast.
ZERO_POINT = 128


def quantise_matmul(rewriting: Rewriting, node: onnx.NodeProto) -> None:
    """Of a MatMul with a constant matrix, or of a Gemm (a MatMul and a bias, which the basic optimisation makes)."""
    name, output = node.input[1], node.output[0]
    matrix = rewriting.array(name)
    options = {item.name: get_node_attr_value(node, item.name) for item in node.attribute}
    if options.get("transA", 0) or options.get("alpha", 1) != 1 or options.get("beta", 1) != 1:
        rewriting.add(node)  # nothing that PyTorch exports
        return
    values, scales = quantise_weight(matrix.T if options.get("transB", 0) else matrix)
    bias = node.input[2] if len(node.input) > 2 else None
    scale = rewriting.add_constant(f"{name}_scale", scales)
    weight = rewriting.add_constant(f"{name}_int8", values)
    add_integer_product(rewriting, make_node("MatMulInteger", [node.input[0], weight], [output]), scale, bias)


def quantise_weight(weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """[inputs, outputs] float32 -> uint8 of the same shape around 128, and float32 scales [outputs]."""
    scales = np.maximum(np.abs(weight).max(axis=0), 1e-12) / 127
    return (np.rint(weight / scales) + ZERO_POINT).astype(np.uint8), scales.astype(np.float32)


def add_integer_product(rewriting: Rewriting, product: onnx.NodeProto, scale: str, bias: str | None) -> None:
    """Adds `product`, a MatMulInteger or ConvInteger that is named with its float activations, its uint8 weight and its
    float output, between what quantises the one and scales the other. `scale` and `bias`: names of constants."""
    activation, weight = product.input
    output = product.output[0]
    quantised = [f"{activation}_uint8", f"{activation}_scale", f"{activation}_zero"]
    if quantised[0] not in rewriting.produced:  # query, key and value read the same activations: quantise them once
        rewriting.add(make_node("DynamicQuantizeLinear", [activation], quantised))
    zero = rewriting.add_constant("weight_zero", np.array(ZERO_POINT, np.uint8))
    del product.input[:]
    product.input.extend([quantised[0], weight, quantised[2], zero])
    product.output[0] = f"{output}_int32"
    scaled = f"{output}_scaled" if bias else output
    rewriting.add(
        product,
        make_node("Cast", [f"{output}_int32"], [f"{output}_unscaled"], to=FLOAT),
        make_node("Mul", [quantised[1], scale], [f"{output}_scale"]),
        make_node("Mul", [f"{output}_unscaled", f"{output}_scale"], [scaled]),
    )
    if bias:
        rewriting.add(make_node("Add", [scaled, bias], [output]))
