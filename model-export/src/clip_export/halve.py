"""Makes a float32 encoder graph half as large: its matrices, kernels and tables in float16.

onnxruntime's kernels for processors, its WebAssembly's too, compute in float32. So each weight is cast back, which
onnxruntime does once, as it loads the graph; of a token table only the rows of a text are. Vectors (biases, norms,
scales) stay float32, as they weigh nothing.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx.helper import make_node

from .graph_rewriting import FLOAT, Rewriting, folded, with_inputs


def halve_graph(source: Path, target: Path) -> None:
    """Writes the graph `source` with weights in float16 to `target`."""
    rewriting = Rewriting(folded(source))
    for node in rewriting.model.graph.node:
        weights = [name for name in dict.fromkeys(node.input) if _is_large(rewriting, name)]
        if node.op_type == "Gather" and node.input[0] in weights:
            _gather(rewriting, node)
            continue
        cast = {name: rewriting.add_halved(name) for name in weights}
        rewriting.add(with_inputs(node, [cast.get(name, name) for name in node.input]))
    onnx.save(rewriting.finished(), target)


def _is_large(rewriting: Rewriting, name: str) -> bool:
    """Whether a constant becomes float16: a float32 one of two dimensions or more that it can hold."""
    constant = rewriting.constant(name)
    if constant is None or constant.data_type != FLOAT or len(constant.dims) < 2:
        return False
    return bool(np.abs(rewriting.array(name)).max(initial=0) <= np.finfo(np.float16).max)


def _gather(rewriting: Rewriting, node: onnx.NodeProto) -> None:
    """Rows first, then their cast: the whole table would be twice as large in memory."""
    rows = f"{node.output[0]}_float16"
    gather = with_inputs(node, [rewriting.add_half(node.input[0]), node.input[1]])
    gather.output[0] = rows
    rewriting.add(gather, make_node("Cast", [rows], [node.output[0]], to=FLOAT))
