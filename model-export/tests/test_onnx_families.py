"""ONNX graphs of each family's classes with random weights, saved and loaded, in each precision, against PyTorch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import numpy_helper
from PIL import Image

from clip_export.bundle_encoders import FloatGraphs, write_float_graphs
from clip_export.encoders import (
    float_image_encoder,
    float_text_encoder,
    graph_image_encoder,
    graph_text_encoder,
)
from clip_export.golden import saved_open_clip, siglip_bundle
from clip_export.golden.saved_open_clip import Config, save_open_clip
from clip_export.golden.small_tokenizers import BPE_SIZE, save_gemma
from clip_export.graph_rewriting import folded
from clip_export.graphs import write_image_graph
from clip_export.precision import Precision
from clip_export.preprocess import pixel_values
from clip_export.quantise import layer_weights
from clip_export.sensitivity import most_sensitive
from clip_export.sources.source import Source, load_source

SAMPLES = sorted((Path(__file__).parents[2] / "samples").glob("*.[jp][pn]g"))
TEXTS = ["a cat", "a photo of a dog.", "two people riding bicycles in the rain", "", "word " * 90]
LEAST = {Precision.INT8: 0.99, Precision.FLOAT16: 0.9999, Precision.FLOAT32: 0.999999}
FAMILIES: dict[str, Config | None] = {
    "vit": saved_open_clip.PLAIN,
    "timm-siglip": saved_open_clip.SIGLIP,
    "resnet": saved_open_clip.RESNET,
    "mobile": saved_open_clip.MOBILE,
    "convnext": saved_open_clip.CONVNEXT,
    "timm-resnet": saved_open_clip.TIMM_RESNET,
    "hf-siglip": None,
}


@pytest.fixture(scope="module", params=FAMILIES)
def family(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Source, FloatGraphs]:
    folder = tmp_path_factory.mktemp(request.param)
    config = FAMILIES[request.param]
    if config:
        save_open_clip(folder / "checkpoint", config)
    else:
        siglip_bundle.save_checkpoint(folder / "checkpoint", save_gemma, BPE_SIZE)
    source = load_source(str(folder / "checkpoint"))
    return source, write_float_graphs(source, folder)


def photos(source: Source) -> np.ndarray:
    """[5, 3, size, size]"""
    return np.stack([pixel_values(Image.open(file), **source.preprocessing) for file in SAMPLES])


def test_each_precision(family: tuple[Source, FloatGraphs], tmp_path: Path) -> None:
    source, graphs = family
    pixels = photos(source)
    images, texts = float_image_encoder(source)(pixels), float_text_encoder(source)(TEXTS)
    alike = (images @ images.T)[np.triu_indices(len(images), 1)]
    assert alike.mean() < 0.95  # were all photos alike, a cosine near 1 would say nothing
    sizes = {}
    for precision in Precision:
        folder = tmp_path / precision
        folder.mkdir()
        files = replace(graphs, precision=precision).write(folder)
        assert {file.facts["precision"] for file in files.values()} == {precision.value}
        made = graph_image_encoder(files["image"].path)(pixels)
        assert (made * images).sum(axis=1).min() > LEAST[precision]
        made = graph_text_encoder(files["text"].path, source.text.tokenizer, padding=files["text"].facts)(TEXTS)
        assert (made * texts).sum(axis=1).min() > LEAST[precision]
        sizes[precision] = sum(file.path.stat().st_size for file in files.values())
    assert sizes[Precision.FLOAT16] < 0.85 * sizes[Precision.FLOAT32]


def test_batches(family: tuple[Source, FloatGraphs]) -> None:
    source, graphs = family
    pixels = photos(source)
    session = onnxruntime.InferenceSession(graphs.image)
    together = session.run(None, {"pixel_values": pixels})[0]
    np.testing.assert_allclose(together, float_image_encoder(source)(pixels), atol=1e-5)
    session = onnxruntime.InferenceSession(graphs.text)
    text = source.text
    ids = text.tokenizer.encode(["a cat"])[0]
    ids = [*ids, *[text.tokenizer.pad_id] * (text.context_length - len(ids))]
    together = session.run(None, {"input_ids": np.array([ids] * 3, np.int32)})[0]
    np.testing.assert_allclose(together, float_text_encoder(source)(["a cat"] * 3), atol=1e-5)


def test_layers_that_are_kept(family: tuple[Source, FloatGraphs], tmp_path: Path) -> None:
    source, graphs = family
    pixels = photos(source)[:2]
    names = layer_weights(folded(graphs.image))
    files = replace(graphs, text=None, keep_image=tuple(names)).write(tmp_path)
    made = graph_image_encoder(files["image"].path)(pixels)
    np.testing.assert_allclose(made, float_image_encoder(source)(pixels), atol=1e-5)


@pytest.mark.parametrize("family", ["timm-resnet"], indirect=True)
def test_a_convolution_that_int8_harms_is_found(family: tuple[Source, FloatGraphs], tmp_path: Path) -> None:
    """One input channel of it 1000 times as large, and smaller in the batch norm before: the same in float."""
    source, _ = family
    block = source.model.visual.trunk.layer3[1]
    with torch.no_grad():
        block.conv2.weight[:, 3] *= 1000
        for values in (block.bn1.weight, block.bn1.bias):
            values[3] /= 1000
    write_image_graph(source, tmp_path / "hard.onnx")
    samples = [{"pixel_values": row[None]} for row in photos(source)[:2]]
    worst = most_sensitive(tmp_path / "hard.onnx", samples, 1)
    kernel = next(item for item in onnx.load(tmp_path / "hard.onnx").graph.initializer if item.name == worst[0])
    folded_kernel = numpy_helper.to_array(kernel)
    large = np.abs(folded_kernel).max(axis=(0, 2, 3))
    assert large[3] > 100 * np.delete(large, 3).max()
