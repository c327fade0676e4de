"""open_clip's checkpoints in a folder: loaded, how pictures are prepared for them, and what is refused."""

from __future__ import annotations

import copy
import hashlib
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from open_clip.push_to_hf_hub import save_config_for_hf
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image
from safetensors.torch import load_file, save_file

from clip_export.encoders import float_image_encoder, float_text_encoder
from clip_export.golden.saved_open_clip import PLAIN, PREPARED, SIGLIP, SQUASHED, TEXT, WEIGHTS, Config, save_open_clip
from clip_export.preprocess import pixel_values
from clip_export.sources.source import Source, SourceError, load_source
from clip_export.verify import noise

SAMPLES = sorted((Path(__file__).parents[2] / "samples").glob("*.[jp][pn]g"))
PROMPTS = ["A photo, of_a cat!", "", "a dog and " * 50]


def altered(config: Config, **sections: Any) -> Config:
    changed = copy.deepcopy(config)
    for name, values in sections.items():
        changed[name] = {**changed[name], **values} if isinstance(values, dict) else values
    return changed


@pytest.fixture(scope="module")
def siglip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_open_clip(tmp_path_factory.mktemp("open_clip") / "siglip", SIGLIP, SQUASHED)


def test_facts_of_a_folder(plain_open_clip: Path) -> None:
    source = load_source(str(plain_open_clip))
    sha256 = hashlib.sha256((plain_open_clip / WEIGHTS).read_bytes()).hexdigest()
    assert source.facts() == {"kind": "open_clip", "name": "plain", "sha256": sha256}
    assert (source.image_size, source.text.context_length, source.embedding_dim) == (32, 77, 24)
    assert source.similarity() == {"kind": "softmax", "logitScale": pytest.approx(1 / 0.07)}
    assert source.text.padding() == {"padTo": None}
    assert not source.model.training
    assert load_source(f"open_clip:{plain_open_clip}").facts() == source.facts()


def test_a_sigmoid_model_that_sees_padding(siglip: Path) -> None:
    source = load_source(str(siglip))
    sigmoid = {"kind": "sigmoid", "logitScale": pytest.approx(1 / 0.07), "logitBias": -10}
    assert source.similarity() == sigmoid
    assert source.text.padding() == {"padTo": 20, "padId": 0}


@pytest.mark.parametrize(
    ("config", "text"),
    [
        (PLAIN, {}),
        (PLAIN, {"pool_type": "eos", "eos_id": 49407, "proj_bias": True}),
        (PLAIN, {"no_causal_mask": True}),
        (PLAIN, {"pool_type": "last"}),
        ({**PLAIN, "embed_dim": 16, "custom_text": True}, {"proj_type": "none"}),
        (SIGLIP, {}),
    ],
)
def test_embeddings_are_the_librarys(config: Config, text: Config, tmp_path: Path) -> None:
    """Of texts that open_clip's own tokenizer fills up."""
    folder = save_open_clip(tmp_path / "model", altered(config, text_cfg=text))
    source, reference = load_source(str(folder)), open_clip.create_model(f"local-dir:{folder}").eval()
    pixels, tokenizer = noise(source.image_size), open_clip.get_tokenizer(f"local-dir:{folder}")
    with torch.inference_mode():
        images = reference.encode_image(torch.from_numpy(pixels), normalize=True)
        texts = reference.encode_text(tokenizer(PROMPTS), normalize=True)
    np.testing.assert_allclose(float_image_encoder(source)(pixels), images, atol=1e-6)
    np.testing.assert_allclose(float_text_encoder(source)(PROMPTS), texts, atol=1e-6)


@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear", "random"])
@pytest.mark.parametrize("resize_mode", ["shortest", "squash"])
def test_pixels_are_open_clips_to_the_bit(tmp_path: Path, resize_mode: str, interpolation: str) -> None:
    """Of the samples, which are RGB and upright. Others differ: open_clip resizes pictures of a palette, or with alpha,
    before they become RGB, takes 16-bit grey as PIL does, and does not turn a picture as its EXIF data say."""
    stated = {**PREPARED, "resize_mode": resize_mode, "interpolation": interpolation}
    source = load_source(str(save_open_clip(tmp_path / "model", preprocess=stated)))
    transform = image_transform_v2(PreprocessCfg(**source.model.visual.preprocess_cfg), is_train=False)
    assert len(SAMPLES) == 5
    for file in SAMPLES:
        with Image.open(file) as photo:
            assert np.array_equal(pixel_values(photo, **source.preprocessing), transform(photo).numpy()), file.name


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ({"hf_tokenizer_name": "timm/ViT-B-16-SigLIP"}, "there is no tokenizer in .*model: none of tokenizer.json, "),
        ({"vocab_size": 32000}, "its tokenizer has 49408 tokens, the text encoder's token table 32000 rows"),
    ],
)
def test_a_tokenizer_that_cannot_be_had(tmp_path: Path, text: Config, message: str) -> None:
    """Its images are taken all the same."""
    folder = save_open_clip(tmp_path / "model", altered(PLAIN, text_cfg=text))
    with pytest.raises(SourceError, match=f"{message}.*--image-only"):
        load_source(str(folder))
    source = load_source(str(folder), image_only=True)
    assert source.text is None
    assert list(source.encoders()) == ["image"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ({"tokenizer_kwargs": {"clean": "whitespace"}}, "a tokenizer with clean 'whitespace'"),
        ({"tokenizer_kwargs": {"reduction_mask": "simple"}}, "a tokenizer with reduction_mask 'simple'"),
        ({"pool_type": "eos", "eos_id": 2}, "a tokenizer whose end of text has the id 2"),
    ],
)
def test_texts_that_only_the_library_has(tmp_path: Path, text: Config, problem: str) -> None:
    folder = save_open_clip(tmp_path / "model", altered(PLAIN, text_cfg=text))
    source, reference = load_source(str(folder)), open_clip.create_model(f"local-dir:{folder}").eval()
    assert problem in source.text.edge_problem()
    texts = ["A photo, of_a cat!", "two dogs", "two dogs and a cat"]
    with torch.inference_mode():
        expected = reference.encode_text(open_clip.get_tokenizer(f"local-dir:{folder}")(texts), normalize=True)
    np.testing.assert_allclose(float_text_encoder(source)(texts), expected, atol=1e-6)


@pytest.mark.parametrize("clean", ["lower", "canonicalize"])
def test_options_of_clips_own_tokenizer(tmp_path: Path, clean: str) -> None:
    text = {"tokenizer_kwargs": {"clean": clean}, "pool_type": "eos", "eos_id": 49407, "hf_tokenizer_name": ""}
    folder = save_open_clip(tmp_path / "model", altered(PLAIN, text_cfg=text))
    tokenizer, reference = load_source(str(folder)).text.tokenizer, open_clip.get_tokenizer(f"local-dir:{folder}")
    assert tokenizer.edge_problem() is None
    for text, ids in zip(PROMPTS, tokenizer.encode(PROMPTS), strict=True):
        assert ids == reference([text])[0, : len(ids)].tolist()


@pytest.mark.parametrize(
    ("preprocess", "message"),
    [
        ({"resize_mode": "longest"}, "resize_mode is 'longest', the edge has shortest and squash"),
        ({"interpolation": "lanczos"}, "interpolation is 'lanczos', the edge has bicubic and bilinear"),
        ({"mean": [0.5]}, r"mean is \[0.5\], expected 3 numbers"),
        ({"std": None}, "preprocess_cfg.std is missing"),
    ],
)
def test_preprocessing_that_the_edge_lacks(tmp_path: Path, preprocess: Config, message: str) -> None:
    folder = save_open_clip(tmp_path / "model", preprocess={**PREPARED, **preprocess})
    with pytest.raises(SourceError, match=message):
        load_source(str(folder))


def test_images_that_are_no_squares(tmp_path: Path) -> None:
    folder = save_open_clip(tmp_path / "model", altered(PLAIN, vision_cfg={"image_size": [32, 16]}))
    with pytest.raises(SourceError, match="the encoder takes 32 x 16"):
        load_source(str(folder))


def without(folder: Path, name: str) -> None:
    weights = load_file(folder / WEIGHTS)
    del weights[name]
    save_file(weights, folder / WEIGHTS)


def test_missing_weights_are_not_made_up(tmp_path: Path) -> None:
    folder = save_open_clip(tmp_path / "plain")
    without(folder, "visual.proj")
    with pytest.raises(SourceError, match=r"open_clip cannot load it: RuntimeError.*Missing key.*visual\.proj"):
        load_source(str(folder))
    sigmoid = save_open_clip(tmp_path / "siglip", SIGLIP, SQUASHED)
    without(sigmoid, "logit_bias")
    with pytest.raises(SourceError, match="logit_bias"):
        load_source(str(sigmoid))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"vision_cfg": {"image_size": 48}}, "17 positions of the image encoder, the model has 37"),
        ({"text_cfg": {"context_length": 32}}, "77 positions of the text encoder, the model has 32"),
        ({"text_cfg": {"context_length": 32}, "custom_text": True}, "77 positions of the text encoder"),
    ],
)
def test_weights_of_another_size_are_not_stretched(
    plain_open_clip: Path, tmp_path: Path, changes: Config, message: str
) -> None:
    folder = save_open_clip(tmp_path / "model", altered(PLAIN, **changes))
    shutil.copy(plain_open_clip / WEIGHTS, folder / WEIGHTS)
    with pytest.raises(SourceError, match=message):
        load_source(str(folder))


@pytest.mark.parametrize("content", [b"", b"no weights at all", b"PK\x03\x04"])
@pytest.mark.parametrize("name", [WEIGHTS, "open_clip_pytorch_model.bin"])
def test_a_broken_file_of_weights(tmp_path: Path, name: str, content: bytes) -> None:
    folder = save_open_clip(tmp_path / "model")
    (folder / WEIGHTS).unlink()
    with pytest.raises(SourceError, match="no file of weights"):
        load_source(str(folder))
    (folder / name).write_bytes(content)
    with pytest.raises(SourceError, match="open_clip cannot load it"):
        load_source(str(folder))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "open_clip_config"),
        ("[]", "model_cfg.embed_dim is missing"),
        ('{"model_cfg": null}', "model_cfg.embed_dim"),
    ],
)
def test_a_broken_configuration(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "open_clip_config.json").write_text(content)
    with pytest.raises(SourceError, match=message):
        load_source(str(tmp_path))


def test_a_coca_is_named(tmp_path: Path) -> None:
    vision = {**PLAIN["vision_cfg"], "attentional_pool": True, "attn_pooler_heads": 2, "output_tokens": True}
    text = {**TEXT, "embed_cls": True, "output_tokens": True}
    decoder = {"width": 16, "heads": 2, "layers": 1, "vocab_size": 49408}
    config = {"embed_dim": 16, "vision_cfg": vision, "text_cfg": text, "multimodal_cfg": decoder}
    model = open_clip.CoCa(**config)
    open_clip.set_model_preprocess_cfg(model, PREPARED)
    save_config_for_hf(model, tmp_path / "open_clip_config.json", {**config, "custom_text": True})
    save_file(model.state_dict(), tmp_path / WEIGHTS)
    with pytest.raises(SourceError, match="open_clip's CoCa is not supported, CLIP and CustomTextCLIP are"):
        load_source(str(tmp_path))


def test_text_context_is_the_models(tmp_path: Path) -> None:
    folder = save_open_clip(tmp_path / "model", altered(PLAIN, text_cfg={**TEXT, "context_length": 9}))
    source: Source = load_source(str(folder))
    assert source.text.context_length == 9
    long, cut = float_text_encoder(source)(["a b c d e f g h i j", "a b c d e f g"])
    np.testing.assert_array_equal(long, cut)
