"""Which checkpoint of open_clip's a name means: a file, one to download, one of the hub; and what is refused."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import huggingface_hub
import numpy as np
import open_clip
import pytest
import torch
from safetensors.torch import load_file

from clip_export.encoders import float_image_encoder
from clip_export.golden.saved_open_clip import PLAIN, PREPARED, SQUASHED, WEIGHTS
from clip_export.sources.source import SourceError, load_source
from clip_export.verify import noise


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("open_clip:ViT-B-32", "ViT-B-32 needs a tag, ViT-B-32/TAG, or a --checkpoint; the tags are openai, laion400m"),
        ("open_clip:ViT-B-32/laion", "no checkpoint 'laion' of ViT-B-32; the tags are openai, laion400m"),
        ("open_clip:ViT-B32/openai", "open_clip has no model 'ViT-B32'.*it has ViT-B-32"),
        ("open_clip:no/such/folder", "open_clip has no model 'no', and there is no open_clip_config.json in no/such"),
        ("open_clip:", "open_clip has no model ''"),
    ],
)
def test_names_that_are_refused_before_anything_is_downloaded(name: str, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        load_source(name)


@pytest.fixture
def registered(plain_open_clip: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The plain model as one that open_clip knows by the name "tiny", with two tags; its weights."""
    config = {**PLAIN, "quick_gelu": False}
    published = {"hf_hub": "", "url": "", **PREPARED, "interpolation": "bicubic", "resize_mode": "shortest"}
    tags = {"one": published, "two": {**published, **SQUASHED, "quick_gelu": True}}
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "tiny", config)
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "untold", config)
    monkeypatch.setitem(open_clip.pretrained._PRETRAINED, "tiny", tags)
    return plain_open_clip / WEIGHTS


def test_a_file_of_weights_for_a_tag(registered: Path, plain_open_clip: Path) -> None:
    source = load_source("open_clip:tiny/two", checkpoint=registered)
    half = [0.5, 0.5, 0.5]
    numbers = {"size": 32, "mean": half, "std": half}
    assert source.preprocessing == {**numbers, "resize": "squash", "interpolation": "bilinear"}
    assert source.facts()["name"] == f"tiny/two, {WEIGHTS}"
    images, expected = (float_image_encoder(made)(noise(32)) for made in (source, load_source(str(plain_open_clip))))
    np.testing.assert_array_equal(images, expected)


@pytest.fixture
def hub(plain_open_clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The plain model as "owner/tiny", downloaded before; there is no network."""
    snapshot = tmp_path / "models--owner--tiny/snapshots/abc"
    shutil.copytree(plain_open_clip, snapshot)
    refs = tmp_path / "models--owner--tiny/refs"
    refs.mkdir()
    (refs / "main").write_text("abc")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)


def test_a_tag_is_downloaded(registered: Path, hub: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(open_clip.pretrained._PRETRAINED["tiny"]["two"], "hf_hub", "owner/tiny/")
    source = load_source("open_clip:tiny/two")
    sha256 = hashlib.sha256(registered.read_bytes()).hexdigest()
    assert source.facts() == {"kind": "open_clip", "name": "tiny/two", "sha256": sha256}
    assert source.image.architecture()["activation"] == "quick_gelu"
    monkeypatch.setitem(open_clip.pretrained._PRETRAINED["tiny"]["one"], "hf_hub", "owner/none/")
    with pytest.raises(SourceError, match=r"tiny/one: cannot be downloaded: .*owner/none"):
        load_source("open_clip:tiny/one")


def test_a_name_of_the_hub(plain_open_clip: Path, hub: None) -> None:
    source, expected = load_source("open_clip:hf-hub:owner/tiny"), load_source(str(plain_open_clip))
    assert source.facts() == expected.facts() | {"name": "owner/tiny"}
    assert source.preprocessing == expected.preprocessing
    with pytest.raises(SourceError, match="hf-hub:owner/none: cannot be downloaded"):
        load_source("open_clip:hf-hub:owner/none")


def test_a_folder_that_both_libraries_know(plain_open_clip: Path, checkpoint: Path, tmp_path: Path) -> None:
    shutil.copytree(plain_open_clip, tmp_path / "both")
    shutil.copytree(checkpoint, tmp_path / "both", dirs_exist_ok=True)
    assert load_source(str(tmp_path / "both")).kind == "huggingface"
    assert load_source(f"open_clip:{tmp_path}/both").kind == "open_clip"


def test_quick_gelu_is_the_tags(registered: Path) -> None:
    activations = [
        load_source(f"open_clip:tiny/{tag}", checkpoint=registered).image.architecture()["activation"]
        for tag in ("one", "two")
    ]
    assert activations == ["gelu", "quick_gelu"]


def test_a_file_of_weights_says_not_how_pictures_are_prepared(
    registered: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SourceError, match=r"in several ways for its checkpoints one, two\. Say which.*tiny/TAG"):
        load_source("open_clip:tiny", checkpoint=registered)
    with pytest.raises(SourceError, match=r"open_clip does not say how pictures are prepared.*open_clip_config\.json"):
        load_source("open_clip:untold", checkpoint=registered)
    monkeypatch.delitem(open_clip.pretrained._PRETRAINED["tiny"], "one")
    assert load_source("open_clip:tiny", checkpoint=registered).preprocessing["resize"] == "squash"


def test_a_checkpoint_of_open_clips_training(registered: Path, tmp_path: Path) -> None:
    """As open_clip_train writes it, from several GPUs."""
    state = {f"module.{name}": values for name, values in load_file(registered).items()}
    torch.save({"epoch": 32, "name": "mine", "state_dict": state, "optimizer": {}}, tmp_path / "one")
    source = load_source("open_clip:tiny/one", checkpoint=tmp_path / "one")
    np.testing.assert_array_equal(source.model.visual.proj.detach(), state["module.visual.proj"])


@pytest.mark.parametrize("name", ["{plain}", "open_clip:{plain}", "open_clip:hf-hub:a/b", "a/b"])
def test_a_file_of_weights_for_what_has_its_own(plain_open_clip: Path, name: str) -> None:
    with pytest.raises(SourceError, match="--checkpoint is for a name of open_clip's"):
        load_source(name.format(plain=plain_open_clip), checkpoint=plain_open_clip / WEIGHTS)


def test_published_checkpoints_of_one_model_may_differ(plain_open_clip: Path) -> None:
    with pytest.raises(SourceError, match=r"ViT-L-14: pictures are prepared in several ways.*openai, laion400m_e31"):
        load_source("open_clip:ViT-L-14", checkpoint=plain_open_clip / WEIGHTS)
