"""A CLIP of the real classes with random weights, small enough to export in a second."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from edge_worker import Worker, start_worker
from transformers import CLIPConfig, CLIPModel

from clip_export.bundle import BundleFacts, LabelTexts, write_bundle
from clip_export.bundle_encoders import FloatGraphs, write_float_graphs
from clip_export.golden.saved_open_clip import save_open_clip
from clip_export.sources.source import Source, load_source

SIZE = 32
WIDTH = 32

torch.set_num_threads(1)  # for models as small as these, more only wait for each other: 10 times as long on busy cores


def save_random_clip(folder: Path, seed: int = 0, width: int = WIDTH) -> Path:
    """Two layers in each encoder; the vocabulary is CLIP's, since the tokenizer is."""
    torch.manual_seed(seed)
    tower = {"hidden_size": width, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    tokens = {"bos_token_id": 49406, "eos_token_id": 49407}
    config = CLIPConfig(
        text_config={**tower, **tokens, "vocab_size": 49408, "projection_dim": WIDTH},
        vision_config={**tower, "image_size": SIZE, "patch_size": 8, "projection_dim": WIDTH},
        projection_dim=WIDTH,
    )
    CLIPModel(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_random_clip(tmp_path_factory.mktemp("checkpoint") / "random-clip")


@pytest.fixture(scope="session")
def source(checkpoint: Path) -> Source:
    return load_source(str(checkpoint))


@pytest.fixture(scope="session")
def graphs(source: Source, tmp_path_factory: pytest.TempPathFactory) -> FloatGraphs:
    return write_float_graphs(source, tmp_path_factory.mktemp("graphs"))


@pytest.fixture(scope="session")
def facts() -> BundleFacts:
    animals = LabelTexts("animals", ["cat", "dog", "horse"], ["a photo of a {}.", "art of the {}."])
    return BundleFacts("random", "Random CLIP", "none", [animals])


@pytest.fixture(scope="session")
def plain_open_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CLIP of open_clip's in a folder."""
    return save_open_clip(tmp_path_factory.mktemp("open_clip") / "plain")


@pytest.fixture
def bundle(source: Source, graphs: FloatGraphs, facts: BundleFacts, tmp_path: Path) -> Path:
    """A folder with a bundle of its own, for a test to spoil."""
    folder = tmp_path / "random"
    folder.mkdir()
    write_bundle(folder, source, graphs, facts)
    return folder


@pytest.fixture(scope="session")
def worker() -> Iterator[Worker]:
    """The real one, in workerd; without the project's npm packages what needs it is skipped."""
    yield from start_worker()
