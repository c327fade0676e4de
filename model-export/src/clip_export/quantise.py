"""Makes a float32 encoder graph four times smaller: int8 weights, activations quantised as they come.

What runs where: every MatMul with a constant weight becomes DynamicQuantizeLinear + MatMulInteger, the pair that
onnxruntime-web has a fast kernel for. Weights have one scale per output channel, the token table one per row.
"""

from __future__ import annotations

import tempfile
from collections.abc import Collection
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper
from onnx.helper import make_node

# The weights are symmetric int8 stored as uint8 around 128: the same numbers in the same bytes, but processors without
# VNNI add uint8 x int8 products in 16 bits and saturate, so the same graph would answer differently from one machine
# to the next. uint8 x uint8 is exact everywhere, and in the browser's wasm just as fast.
ZERO_POINT = 128


def quantise_graph(source: Path, target: Path, keep_float: Collection[str] = ()) -> None:
    """Writes the int8 form of the graph `source` to `target`; weights named in `keep_float` stay as they are."""
    model = _folded(source)
    graph = model.graph
    weights = {item.name: item for item in graph.initializer}
    nodes: list[onnx.NodeProto] = []
    quantised_inputs: dict[str, tuple[str, str, str]] = {}
    for node in graph.node:
        weight = weights.get(node.input[1]) if len(node.input) > 1 else None
        if node.op_type == "MatMul" and weight is not None and weight.name not in keep_float:
            nodes += _integer_matmul(graph, node, weight, quantised_inputs)
        elif node.op_type == "Gather" and _is_token_table(weights.get(node.input[0])):
            nodes += _row_scaled_gather(graph, node, weights[node.input[0]])
        else:
            nodes.append(node)
    del graph.node[:]
    graph.node.extend(nodes)
    _drop_unused_weights(graph)
    standard = [entry for entry in model.opset_import if entry.domain == ""]  # folding lists domains that nobody uses
    del model.opset_import[:]
    model.opset_import.extend(standard)
    onnx.checker.check_model(model)
    onnx.save(model, target)


def matmul_weights(path: Path) -> list[str]:
    """Names of the weights of the graph's MatMuls, in the order in which they run."""
    graph = _folded(path).graph
    constants = {item.name for item in graph.initializer}
    return [node.input[1] for node in graph.node if node.op_type == "MatMul" and node.input[1] in constants]


def quantise_weight(weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """[inputs, outputs] float32 -> uint8 of the same shape around 128, and float32 scales [outputs]."""
    scales = np.maximum(np.abs(weight).max(axis=0), 1e-12) / 127
    return (np.rint(weight / scales) + ZERO_POINT).astype(np.uint8), scales.astype(np.float32)


def quantise_rows(table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """[rows, width] float32 -> int8 of the same shape, and float32 scales [rows, 1].

    One scale for the whole table would be set by its few largest values (1.2 in the seed model, where most rows stay
    under 0.1) and cost every other row several bits.
    """
    scales = np.maximum(np.abs(table).max(axis=1, keepdims=True), 1e-12) / 127
    return np.rint(table / scales).astype(np.int8), scales.astype(np.float32)


def _folded(source: Path) -> onnx.ModelProto:
    """The graph with its constant parts computed once, here: a third fewer nodes for the edge to load and prepare.

    Only onnxruntime's basic level, which stays inside standard ONNX and means the same on every processor.
    """
    with tempfile.TemporaryDirectory() as folder:
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = str(Path(folder) / "folded.onnx")
        onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
        return onnx.load(options.optimized_model_filepath)


def _integer_matmul(
    graph: onnx.GraphProto,
    node: onnx.NodeProto,
    weight: onnx.TensorProto,
    quantised_inputs: dict[str, tuple[str, str, str]],
) -> list[onnx.NodeProto]:
    values, scales = quantise_weight(numpy_helper.to_array(weight))
    name, activation, output = weight.name, node.input[0], node.output[0]
    _add(graph, f"{name}_int8", values)
    _add(graph, f"{name}_scale", scales)
    _add(graph, f"{name}_zero", np.array(ZERO_POINT, np.uint8))
    nodes = []
    if activation not in quantised_inputs:  # query, key and value read the same activations: quantise them once
        quantised_inputs[activation] = (f"{activation}_uint8", f"{activation}_scale", f"{activation}_zero")
        nodes.append(make_node("DynamicQuantizeLinear", [activation], list(quantised_inputs[activation])))
    values_name, scale_name, zero_name = quantised_inputs[activation]
    return [
        *nodes,
        make_node("MatMulInteger", [values_name, f"{name}_int8", zero_name, f"{name}_zero"], [f"{output}_int32"]),
        make_node("Cast", [f"{output}_int32"], [f"{output}_unscaled"], to=onnx.TensorProto.FLOAT),
        make_node("Mul", [scale_name, f"{name}_scale"], [f"{output}_scale"]),
        make_node("Mul", [f"{output}_unscaled", f"{output}_scale"], [output]),
    ]


def _row_scaled_gather(graph: onnx.GraphProto, node: onnx.NodeProto, table: onnx.TensorProto) -> list[onnx.NodeProto]:
    values, scales = quantise_rows(numpy_helper.to_array(table))
    name, ids, output = table.name, node.input[1], node.output[0]
    _add(graph, f"{name}_int8", values)
    _add(graph, f"{name}_scale", scales)
    return [
        make_node("Gather", [f"{name}_int8", ids], [f"{output}_int8"], axis=0),
        make_node("Gather", [f"{name}_scale", ids], [f"{output}_scale"], axis=0),  # [batch, length, 1]
        make_node("Cast", [f"{output}_int8"], [f"{output}_unscaled"], to=onnx.TensorProto.FLOAT),
        make_node("Mul", [f"{output}_unscaled", f"{output}_scale"], [output]),
    ]


def _is_token_table(weight: onnx.TensorProto | None) -> bool:
    # The position table is a Gather's input as well, but small, and added to every token: it stays float.
    return weight is not None and len(weight.dims) == 2 and weight.dims[0] > 1000


def _add(graph: onnx.GraphProto, name: str, values: np.ndarray) -> None:
    graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(values), name))


def _drop_unused_weights(graph: onnx.GraphProto) -> None:
    used = {name for node in graph.node for name in node.input}
    kept = [item for item in graph.initializer if item.name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)
