"""Makes a float32 encoder graph four times smaller: int8 weights.

What runs where: products with a constant matrix (quantise_matmul.py) and convolutions (quantise_conv.py) take
activations that are quantised as they come, the pair that onnxruntime-web has fast kernels for. Weights have one scale
per output channel, the token table one per row.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np
import onnx
from onnx.helper import make_node

from .graph_rewriting import FLOAT, Rewriting, folded
from .quantise_conv import quantise_conv
from .quantise_matmul import quantise_matmul

LAYERS = {"MatMul": quantise_matmul, "Gemm": quantise_matmul, "Conv": quantise_conv}


def quantise_graph(source: Path, target: Path, keep_float: Collection[str] = ()) -> None:
    """Writes the int8 form of the graph `source` to `target`; weights named in `keep_float` stay as they are."""
    onnx.save(quantised(folded(source), keep_float), target)


def quantised(model: onnx.ModelProto, keep_float: Collection[str] = ()) -> onnx.ModelProto:
    """The int8 form of a folded graph, which is not changed."""
    rewriting = Rewriting(model)
    for node in model.graph.node:
        weight = _layer_weight(rewriting, node)
        if weight is not None and weight not in keep_float:
            LAYERS[node.op_type](rewriting, node)
        elif node.op_type == "Gather" and is_token_table(rewriting.constant(node.input[0])):
            _row_scaled_gather(rewriting, node)
        else:
            rewriting.add(node)
    return rewriting.finished()


def layer_weights(model: onnx.ModelProto) -> list[str]:
    """Names of the weights of a folded graph's layers, in the order in which they run."""
    rewriting = Rewriting(model)
    names = (_layer_weight(rewriting, node) for node in model.graph.node)
    return list(dict.fromkeys(name for name in names if name is not None))


def _layer_weight(rewriting: Rewriting, node: onnx.NodeProto) -> str | None:
    """The name of a layer's weight: a matrix, or a kernel. None: the node is no layer."""
    weight = rewriting.constant(node.input[1]) if node.op_type in LAYERS else None
    ranks = range(3, 6) if node.op_type == "Conv" else (2,)
    return weight.name if weight is not None and len(weight.dims) in ranks else None


def is_token_table(weight: onnx.TensorProto | None) -> bool:
    # The position table is a Gather's input as well, but small, and added to every token: it stays float.
    return weight is not None and len(weight.dims) == 2 and weight.dims[0] > 1000


def quantise_rows(table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """[rows, width] float32 -> int8 of the same shape, and float32 scales [rows, 1].

    One scale for the whole table would be set by its few largest values (1.2 in the seed model, where most rows stay
    under 0.1) and cost every other row several bits.
    """
    scales = np.maximum(np.abs(table).max(axis=1, keepdims=True), 1e-12) / 127
    return np.rint(table / scales).astype(np.int8), scales.astype(np.float32)


def _row_scaled_gather(rewriting: Rewriting, node: onnx.NodeProto) -> None:
    name, ids, output = node.input[0], node.input[1], node.output[0]
    values, scales = quantise_rows(rewriting.array(name))
    rewriting.add(
        make_node("Gather", [rewriting.add_constant(f"{name}_int8", values), ids], [f"{output}_int8"], axis=0),
        # [batch, length, 1]
        make_node("Gather", [rewriting.add_constant(f"{name}_scale", scales), ids], [f"{output}_scale"], axis=0),
        make_node("Cast", [f"{output}_int8"], [f"{output}_unscaled"], to=FLOAT),
        make_node("Mul", [f"{output}_unscaled", f"{output}_scale"], [output]),
    )
