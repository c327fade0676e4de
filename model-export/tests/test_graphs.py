"""The float graphs against transformers' own forward pass, at batches and lengths that the exporter did not see."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from clip_export.bundle_encoders import FloatGraphs
from clip_export.clip_tokenizer import END_ID as END_OF_TEXT
from clip_export.graphs import write_text_graph
from clip_export.sources.source import Source, load_source


def random_ids(batch: int, length: int) -> np.ndarray:
    """[batch, length] int32, each row from start to end token."""
    ids = np.random.default_rng(length).integers(256, 49406, (batch, length)).astype(np.int32)
    ids[:, 0], ids[:, -1] = 49406, END_OF_TEXT
    return ids


def run_text(graphs: FloatGraphs, ids: np.ndarray) -> np.ndarray:
    return onnxruntime.InferenceSession(graphs.text).run(None, {"input_ids": ids})[0]


@torch.inference_mode()
def transformers_text(source: Source, ids: np.ndarray) -> np.ndarray:
    pooled = source.model.get_text_features(torch.from_numpy(ids).long()).pooler_output
    return torch.nn.functional.normalize(pooled, dim=-1).numpy()


@pytest.mark.parametrize("batch", [1, 2, 5])
def test_image_graph_equals_transformers(source: Source, graphs: FloatGraphs, batch: int) -> None:
    pixels = np.random.default_rng(batch).standard_normal((batch, 3, 32, 32)).astype(np.float32)
    with torch.inference_mode():
        pooled = source.model.get_image_features(torch.from_numpy(pixels)).pooler_output
    expected = torch.nn.functional.normalize(pooled, dim=-1).numpy()
    actual = onnxruntime.InferenceSession(graphs.image).run(None, {"pixel_values": pixels})[0]
    np.testing.assert_allclose(actual, expected, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(actual, axis=1), 1, atol=1e-5)


@pytest.mark.parametrize(("batch", "length"), [(1, 2), (1, 3), (4, 3), (1, 8), (3, 8), (1, 77), (2, 77)])
def test_text_graph_equals_transformers(source: Source, graphs: FloatGraphs, batch: int, length: int) -> None:
    ids = random_ids(batch, length)
    np.testing.assert_allclose(run_text(graphs, ids), transformers_text(source, ids), atol=1e-5)


def test_nothing_after_the_first_end_of_text_matters(source: Source, graphs: FloatGraphs) -> None:
    alone = random_ids(1, 6)
    followed = np.concatenate([alone, [[777, END_OF_TEXT, END_OF_TEXT, 0]]], axis=1).astype(np.int32)
    np.testing.assert_allclose(run_text(graphs, followed), run_text(graphs, alone), atol=1e-5)
    np.testing.assert_allclose(run_text(graphs, followed), transformers_text(source, followed), atol=1e-5)


def test_a_wrong_end_token_in_the_config_does_not_matter(checkpoint: Path, graphs: FloatGraphs, tmp_path: Path) -> None:
    """[regression] OpenAI's checkpoints were published with end token 2."""
    shutil.copytree(checkpoint, tmp_path / "old")
    config = json.loads((checkpoint / "config.json").read_text())
    config["text_config"]["eos_token_id"] = 2
    (tmp_path / "old/config.json").write_text(json.dumps(config))
    write_text_graph(load_source(str(tmp_path / "old")), tmp_path / "text.onnx")
    ids = np.concatenate([random_ids(2, 6), [[0, 0], [0, 0]]], axis=1).astype(np.int32)
    actual = onnxruntime.InferenceSession(tmp_path / "text.onnx").run(None, {"input_ids": ids})[0]
    np.testing.assert_allclose(actual, run_text(graphs, ids), atol=1e-6)


def test_names_and_types_are_the_contract(graphs: FloatGraphs) -> None:
    for path, tensor, kind, output in (
        (graphs.image, "pixel_values", onnx.TensorProto.FLOAT, "image_embeds"),
        (graphs.text, "input_ids", onnx.TensorProto.INT32, "text_embeds"),
    ):
        graph = onnx.load(path).graph
        assert [item.name for item in graph.input] == [tensor]
        assert [item.name for item in graph.output] == [output]
        assert graph.input[0].type.tensor_type.elem_type == kind
