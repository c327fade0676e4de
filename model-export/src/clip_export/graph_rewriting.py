"""What every other form of a float32 graph begins and ends with: its constant parts computed, nodes and constants
replaced, and standard ONNX written."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper
from onnx.helper import make_node

FLOAT = onnx.TensorProto.FLOAT


def folded(source: Path) -> onnx.ModelProto:
    """The graph with its constant parts computed once, here: a third fewer nodes for the edge to load and prepare.

    Only onnxruntime's basic level, which stays inside standard ONNX and means the same on every processor.
    """
    with tempfile.TemporaryDirectory() as folder:
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = str(Path(folder) / "folded.onnx")
        onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
        return onnx.load(options.optimized_model_filepath)


class Rewriting:
    """A graph's new nodes, collected in the order in which they run, and its old and new constants."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.model = model
        self.nodes: list[onnx.NodeProto] = []
        self.produced: set[str] = set()
        """what the new nodes give"""
        self._makers = {output: node for node in model.graph.node for output in node.output}
        self._constants = {item.name: item for item in model.graph.initializer}

    def constant(self, name: str) -> onnx.TensorProto | None:
        """A constant of the old graph or a new one; None: `name` is computed, or an input."""
        return self._constants.get(name)

    def maker(self, name: str) -> onnx.NodeProto | None:
        """The node of the old graph that gives `name`; None: a constant, or an input."""
        return self._makers.get(name)

    def array(self, name: str) -> np.ndarray:
        return numpy_helper.to_array(self._constants[name])

    def add_constant(self, name: str, values: np.ndarray) -> str:
        """Two nodes may ask for the same one."""
        if name not in self._constants:
            self._constants[name] = numpy_helper.from_array(np.ascontiguousarray(values), name)
        return name

    def add(self, *nodes: onnx.NodeProto) -> None:
        for node in nodes:
            self.nodes.append(node)
            self.produced.update(node.output)

    def add_half(self, name: str) -> str:
        """The constant `name` in float16."""
        return self.add_constant(f"{name}_float16", self.array(name).astype(np.float16))

    def add_halved(self, name: str) -> str:
        """The constant `name`, which lies in the file as float16, cast to float32."""
        if f"{name}_float32" not in self.produced:
            self.add(make_node("Cast", [self.add_half(name)], [f"{name}_float32"], to=FLOAT))
        return f"{name}_float32"

    def finished(self) -> onnx.ModelProto:
        """A model of the new nodes, with the constants that they use. The old one is not changed."""
        made = _without_content(self.model)
        # onnxruntime lists domains that nobody uses
        made.opset_import.extend(entry for entry in self.model.opset_import if entry.domain == "")
        used = {name for node in self.nodes for name in node.input}
        made.graph.node.extend(self.nodes)
        made.graph.initializer.extend(item for name, item in self._constants.items() if name in used)
        onnx.checker.check_model(made)
        return made


def with_inputs(node: onnx.NodeProto, inputs: Sequence[str], kind: str = "") -> onnx.NodeProto:
    """The node with other inputs, and of another kind where it is given."""
    made = make_node(kind or node.op_type, inputs, node.output, node.name)
    made.attribute.extend(node.attribute)
    return made


def fold_graph(source: Path, target: Path) -> None:
    """Writes the float32 graph `source` with its constant parts computed."""
    rewriting = Rewriting(folded(source))
    rewriting.add(*rewriting.model.graph.node)
    onnx.save(rewriting.finished(), target)


def _without_content(model: onnx.ModelProto) -> onnx.ModelProto:
    empty = onnx.ModelProto(ir_version=model.ir_version, producer_name=model.producer_name)
    empty.producer_version = model.producer_version
    empty.graph.name = model.graph.name
    empty.graph.input.extend(model.graph.input)
    empty.graph.output.extend(model.graph.output)
    return empty
