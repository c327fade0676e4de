"""What becomes int8, and what it costs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from clip_export.bundle_encoders import FloatGraphs
from clip_export.clip_tokenizer import ClipTokenizer
from clip_export.encoders import graph_image_encoder, graph_text_encoder
from clip_export.graph_rewriting import folded
from clip_export.graphs import write_image_graph
from clip_export.quantise import layer_weights, quantise_graph, quantise_rows
from clip_export.quantise_matmul import ZERO_POINT, quantise_weight
from clip_export.sensitivity import most_sensitive
from clip_export.sources.source import load_source


@pytest.fixture(scope="module")
def int8_text(graphs: FloatGraphs, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("int8") / "text.onnx"
    quantise_graph(graphs.text, path)
    return path


def test_weights_keep_their_output_channels_apart() -> None:
    weight = np.array([[1.0, 100.0], [-0.5, 50.0], [0.25, -127.0]], np.float32)
    values, scales = quantise_weight(weight)
    np.testing.assert_allclose(scales, [1 / 127, 1.0], rtol=1e-6)
    assert values.dtype == np.uint8
    assert np.abs((values.astype(int) - ZERO_POINT) * scales - weight).max(axis=0) == pytest.approx([0, 0], abs=0.5)
    assert np.abs((values[:, 0].astype(int) - ZERO_POINT) * scales[0] - weight[:, 0]).max() <= scales[0] / 2


def test_weights_of_zero_do_not_become_nan() -> None:
    values, scales = quantise_weight(np.zeros((3, 2), np.float32))
    assert (values == ZERO_POINT).all()
    assert np.isfinite(scales).all()


def test_a_large_row_costs_the_other_rows_nothing() -> None:
    table = np.random.default_rng(0).standard_normal((50, 8)).astype(np.float32) * 0.01
    table[7] *= 1000
    values, scales = quantise_rows(table)
    assert values.dtype == np.int8
    assert scales.shape == (50, 1)
    assert (np.abs(values * scales - table) <= scales / 2 + 1e-7).all()
    small = np.delete(np.arange(50), 7)
    assert np.abs(values[small]).max(axis=1) == pytest.approx(127)


def test_graph_holds_the_table_by_rows_and_matmuls_by_channel(graphs: FloatGraphs, int8_text: Path) -> None:
    graph = onnx.load(int8_text).graph
    constants = {item.name: item for item in graph.initializer}
    tables = [item for item in graph.initializer if list(item.dims) == [49408, 32]]
    assert [item.data_type for item in tables] == [onnx.TensorProto.INT8]
    assert [49408, 1] in [list(item.dims) for item in graph.initializer]
    integer = [node for node in graph.node if node.op_type == "MatMulInteger"]
    assert len(integer) == 2 * 6 + 1  # two layers of query, key, value, output and two of the MLP; the projection
    for node in integer:
        scale = constants[node.input[1].replace("_int8", "_scale")]
        assert list(scale.dims) == list(constants[node.input[1]].dims[1:])
    assert not [node for node in graph.node if node.op_type == "MatMul" and node.input[1] in constants]
    floats = sum(numpy_helper.to_array(item).size for item in graph.initializer if item.data_type == 1)
    assert floats < 49408 + 77 * 32 + 5000  # scales, positions, biases: no weight is left in float beside its int8


def test_query_key_and_value_share_one_quantised_input(int8_text: Path) -> None:
    graph = onnx.load(int8_text).graph
    counts = {kind: sum(node.op_type == kind for node in graph.node) for kind in ("DynamicQuantizeLinear", "MatMul")}
    assert counts == {"DynamicQuantizeLinear": 2 * 4 + 1, "MatMul": 2 * 2}


def test_chosen_weights_stay_float(graphs: FloatGraphs, tmp_path: Path) -> None:
    quantise_graph(graphs.image, tmp_path / "all.onnx")
    named = next(
        node.input[1] for node in onnx.load(tmp_path / "all.onnx").graph.node if node.op_type == "MatMulInteger"
    )
    quantise_graph(graphs.image, tmp_path / "but-one.onnx", keep_float=[named.removesuffix("_int8")])
    graph = onnx.load(tmp_path / "but-one.onnx").graph
    assert named.removesuffix("_int8") in [item.name for item in graph.initializer]
    assert named not in [item.name for item in graph.initializer]


def test_int8_embeddings_are_close_and_not_equal(graphs: FloatGraphs, int8_text: Path, tmp_path: Path) -> None:
    texts = ["a cat", "a photo of a dog.", "x " * 100]
    cosines = (
        graph_text_encoder(graphs.text, ClipTokenizer(77))(texts)
        * graph_text_encoder(int8_text, ClipTokenizer(77))(texts)
    ).sum(axis=1)
    assert 0.999 < cosines.min() < 1 - 1e-7
    quantise_graph(graphs.image, tmp_path / "image.onnx")
    pixels = np.random.default_rng(0).standard_normal((8, 3, 32, 32)).astype(np.float32)
    in_float, in_int8 = (graph_image_encoder(path)(pixels) for path in (graphs.image, tmp_path / "image.onnx"))
    assert 0.999 < (in_float * in_int8).sum(axis=1).min() < 1 - 1e-7
    assert (tmp_path / "image.onnx").stat().st_size < graphs.image.stat().st_size


def test_the_same_bytes_twice(graphs: FloatGraphs, int8_text: Path, tmp_path: Path) -> None:
    quantise_graph(graphs.text, tmp_path / "again.onnx")
    assert (tmp_path / "again.onnx").read_bytes() == int8_text.read_bytes()


def test_the_layer_that_int8_harms_most_is_found(checkpoint: Path, tmp_path: Path) -> None:
    """The first MLP layer, made hard: one input channel 1000 times larger, and smaller in the norm before, so that the
    float graph stays the same and every other weight of the layer rounds to nothing."""
    source = load_source(str(checkpoint))
    layer = source.model.vision_model.encoder.layers[0]
    with torch.no_grad():
        layer.mlp.fc1.weight[:, 3] *= 1000
        layer.layer_norm2.weight[3] /= 1000
        layer.layer_norm2.bias[3] /= 1000
    write_image_graph(source, tmp_path / "hard.onnx")
    names = layer_weights(folded(tmp_path / "hard.onnx"))
    rng = np.random.default_rng(0)
    samples = [{"pixel_values": rng.standard_normal((1, 3, 32, 32)).astype(np.float32)} for _ in range(4)]
    assert most_sensitive(tmp_path / "hard.onnx", samples, 0) == []
    assert (
        most_sensitive(tmp_path / "hard.onnx", samples, 2)[0] == names[5]
    )  # after the patches, query, key, value and output
