"""Labels in many languages: a text encoder of XLM-RoBERTa's kind, whose texts the checkpoint embeds for an image-only
bundle. The weights are random, the tokenizer is trained here."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from open_clip.push_to_hf_hub import save_config_for_hf
from safetensors.torch import save_file
from test_cli import run
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast, XLMRobertaConfig

from clip_export.bundle import BundleFacts, write_bundle
from clip_export.bundle_encoders import EngineEncoders
from clip_export.label_set import read_label_set
from clip_export.sources.source import load_source

LABELS = ["ein Hund", "собака", "犬", "كلب", "σκύλος", "un chien dans la rue", "강아지"]
TEMPLATES = ["eine Aufnahme: {}", "{}", "фото: {}"]
PREPARED = {"mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bicubic", "resize_mode": "squash"}
VISION = {"image_size": 32, "patch_size": 8, "width": 32, "layers": 1, "head_width": 16}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As open_clip writes it for the hub."""
    base = tmp_path_factory.mktemp("multilingual")
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    trainer = trainers.UnigramTrainer(vocab_size=150, special_tokens=special, unk_token="<unk>")
    tokenizer.train_from_iterator(LABELS + TEMPLATES, trainer)
    ends = [("<s>", tokenizer.token_to_id("<s>")), ("</s>", tokenizer.token_to_id("</s>"))]
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=ends)
    names = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names).save_pretrained(base / "model")
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    rows = {"vocab_size": tokenizer.get_vocab_size(), "pad_token_id": 1, "max_position_embeddings": 90}
    XLMRobertaConfig(**sizes, **rows).save_pretrained(base / "text")
    text = {"hf_model_name": str(base / "text"), "hf_tokenizer_name": "some/where", "hf_pooler_type": "mean_pooler"}
    text |= {"hf_proj_type": "mlp", "hf_model_pretrained": False}
    torch.manual_seed(0)
    model = open_clip.CustomTextCLIP(24, VISION, text).eval()
    open_clip.set_model_preprocess_cfg(model, {"size": 32, "mode": "RGB", "fill_color": 0, **PREPARED})
    config = {"embed_dim": 24, "vision_cfg": VISION, "text_cfg": text, "custom_text": True}
    save_config_for_hf(model, base / "model" / "open_clip_config.json", config)
    save_file(model.state_dict(), base / "model" / "open_clip_model.safetensors")
    return base / "model"


def test_labels_are_those_of_open_clip(folder: Path, tmp_path: Path) -> None:
    bundle, labels, templates = tmp_path / "bundle", tmp_path / "labels.txt", tmp_path / "templates.txt"
    bundle.mkdir()
    source = load_source(str(folder), image_only=True)
    write_bundle(bundle, source, EngineEncoders(source), BundleFacts("many", "Many languages", "none"))
    labels.write_text("\n".join(LABELS), encoding="utf-8")
    templates.write_text("\n".join(TEMPLATES), encoding="utf-8")
    options = ["--labels", labels, "--templates", templates, "--name", "dogs", "--out", tmp_path / "dogs.st"]
    result = run("labels", bundle, *options, "--source", folder)
    assert result.exit_code == 0, result.output
    model = load_source(str(folder)).model
    tokenizer = open_clip.get_tokenizer(f"local-dir:{folder}")
    made = read_label_set(tmp_path / "dogs.st")
    assert made.labels == LABELS
    for label, row in zip(LABELS, made.embeddings, strict=True):
        prompts = tokenizer([template.replace("{}", label) for template in TEMPLATES])
        with torch.inference_mode():
            mean = model.encode_text(prompts, normalize=True).mean(dim=0)
        np.testing.assert_allclose(row, mean / mean.norm(), atol=1e-5)
    assert np.unique(made.embeddings.round(4), axis=0).shape == made.embeddings.shape
