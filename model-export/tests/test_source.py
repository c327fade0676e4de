"""Which checkpoints are taken, and with which preprocessing."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import BertConfig

from clip_export.sources.source import Source, SourceError, load_source


def test_facts(source: Source, checkpoint: Path) -> None:
    weights = (checkpoint / "model.safetensors").read_bytes()
    sha256 = hashlib.sha256(weights).hexdigest()
    assert source.facts() == {"kind": "huggingface", "name": "random-clip", "sha256": sha256}
    assert (source.image_size, source.text.context_length, source.embedding_dim) == (32, 77, 32)
    assert source.logit_scale == pytest.approx(14.285, abs=0.01)
    assert not source.model.training


def test_half_precision_becomes_float32(checkpoint: Path, tmp_path: Path) -> None:
    shutil.copytree(checkpoint, tmp_path / "half")
    weights = {name: tensor.half() for name, tensor in load_file(checkpoint / "model.safetensors").items()}
    save_file(weights, tmp_path / "half/model.safetensors", metadata={"format": "pt"})
    assert load_source(str(tmp_path / "half")).model.text_projection.weight.dtype == torch.float32


def test_a_name_that_is_neither_folder_nor_hub_name() -> None:
    with pytest.raises(SourceError, match="owner/model"):
        load_source("no-such-folder")


def test_another_kind_of_model(tmp_path: Path) -> None:
    BertConfig().save_pretrained(tmp_path)
    with pytest.raises(SourceError, match="a model of the type 'bert'; supported are clip, siglip"):
        load_source(str(tmp_path))


def test_folders_that_are_no_checkpoint(checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"has no config.json \(nor open_clip's open_clip_config.json\)"):
        load_source(str(tmp_path))
    with pytest.raises(SourceError, match="is a file: name the folder"):
        load_source(str(checkpoint / "model.safetensors"))
    (tmp_path / "config.json").write_text("[1]", encoding="utf-8")
    with pytest.raises(SourceError, match=r"its config.json is no JSON object"):
        load_source(str(tmp_path))


def test_weights_that_were_cut_off(checkpoint: Path, tmp_path: Path) -> None:
    broken = shutil.copytree(checkpoint, tmp_path / "broken")
    weights = broken / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    with pytest.raises(SourceError, match="the file of its weights is broken"):
        load_source(str(broken))


def test_weights_of_another_size(checkpoint: Path, tmp_path: Path) -> None:
    other = shutil.copytree(checkpoint, tmp_path / "other")
    config = json.loads((other / "config.json").read_text(encoding="utf-8"))
    config["projection_dim"] *= 2
    (other / "config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(SourceError, match=r"text_projection.weight has the shape \[.*\], by its config.json it would"):
        load_source(str(other))


def test_missing_weights_are_not_made_up(checkpoint: Path, tmp_path: Path) -> None:
    shutil.copytree(checkpoint, tmp_path / "partial")
    weights = load_file(checkpoint / "model.safetensors")
    weights.pop("visual_projection.weight")
    save_file(weights, tmp_path / "partial/model.safetensors", metadata={"format": "pt"})
    with pytest.raises(SourceError, match=r"visual_projection\.weight"):
        load_source(str(tmp_path / "partial"))


@pytest.mark.parametrize(
    ("config", "resize", "interpolation"),
    [
        ({"size": {"shortest_edge": 32}, "resample": 3}, "shortest", "bicubic"),
        ({"size": {"height": 32, "width": 32}, "resample": 2}, "squash", "bilinear"),
        ({"size": 32}, "shortest", "bicubic"),
    ],
)
def test_preprocessing_of_the_checkpoint(
    checkpoint: Path, tmp_path: Path, config: dict, resize: str, interpolation: str
) -> None:
    shutil.copytree(checkpoint, tmp_path / "model")
    stated = {**config, "image_mean": [0.1, 0.2, 0.3], "image_std": [0.5, 0.5, 0.5]}
    (tmp_path / "model/preprocessor_config.json").write_text(json.dumps(stated))
    preprocessing = load_source(str(tmp_path / "model")).preprocessing
    numbers = {"size": 32, "mean": [0.1, 0.2, 0.3], "std": [0.5, 0.5, 0.5]}
    assert preprocessing == {**numbers, "resize": resize, "interpolation": interpolation}
    # transformers 5 saves a processor of images and texts as one, and takes it first
    (tmp_path / "model/processor_config.json").write_text(json.dumps({"image_processor": stated | {"resample": 2}}))
    assert load_source(str(tmp_path / "model")).preprocessing == preprocessing | {"interpolation": "bilinear"}
    (tmp_path / "model/processor_config.json").write_text(json.dumps({"processor_class": "CLIPProcessor"}))
    assert load_source(str(tmp_path / "model")).preprocessing == preprocessing


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"resample": 0}, "resample"),
        ({"size": {"shortest_edge": 64}}, "resized"),
        ({"do_normalize": False}, "do_normalize is false"),
        ({"size": {"shortest_edge": 32}, "do_center_crop": False}, "do_center_crop is false"),
    ],
)
def test_preprocessing_that_the_edge_lacks(checkpoint: Path, tmp_path: Path, config: dict, message: str) -> None:
    shutil.copytree(checkpoint, tmp_path / "model")
    (tmp_path / "model/preprocessor_config.json").write_text(json.dumps(config))
    with pytest.raises(SourceError, match=message):
        load_source(str(tmp_path / "model"))
