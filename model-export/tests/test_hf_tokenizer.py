"""Text encoders with other tokenizers than CLIP's: embedded as their libraries do it, and what of them the edge has."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import open_clip
import pytest
import sentencepiece
import torch
from open_clip.push_to_hf_hub import save_config_for_hf
from safetensors.torch import save_file
from test_cli import run
from tokenizers import normalizers
from torch import nn
from transformers import BertTokenizer, CLIPConfig, CLIPModel, SiglipModel, XLMRobertaConfig, XLMRobertaTokenizer

from clip_export.bundle_encoders import bundle_text_encoder, bundle_tokenizer
from clip_export.charsmap import GRAPHEMES, LONGEST, Charsmap
from clip_export.encoders import float_text_encoder
from clip_export.golden.random_weights import fill
from clip_export.golden.saved_open_clip import PLAIN, PREPARED, SIGLIP, SQUASHED, WEIGHTS, save_open_clip
from clip_export.golden.siglip_bundle import CONTEXT, SIZES, TEXTS, save_checkpoint
from clip_export.golden.small_tokenizers import BPE_SIZE, UNIGRAM_SIZE, load, save_gemma, save_t5, train_unigram
from clip_export.hard_texts import curated, nonsense
from clip_export.hf_tokenizer import HfTokenizer
from clip_export.isolate_fit import MEBI, FitError, check_encoders, encoder_bytes, fit_of
from clip_export.manifest import read_manifest
from clip_export.sources.source import SourceError, load_source
from clip_export.train.trained_model import load_model

HARD = [*curated(), *nonsense(100)]


@pytest.fixture(scope="module")
def siglip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_checkpoint(tmp_path_factory.mktemp("hugging_face") / "siglip")


@pytest.fixture(scope="module")
def unigram(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_unigram(tmp_path_factory.mktemp("unigram"))


def test_siglips_texts_are_the_librarys(siglip: Path) -> None:
    source, model, tokenizer = load_source(str(siglip)), SiglipModel.from_pretrained(siglip), load(siglip)
    ids = tokenizer(TEXTS, padding="max_length", max_length=CONTEXT, truncation=True, return_tensors="pt").input_ids
    with torch.inference_mode():
        expected = nn.functional.normalize(model.get_text_features(ids).pooler_output, dim=-1)
    np.testing.assert_allclose(float_text_encoder(source)(TEXTS), expected, atol=1e-6)
    assert source.text.padding() == {"padTo": CONTEXT, "padId": 1}
    assert source.text.edge_problem() is None


def test_export_verify_and_labels_of_siglip(siglip: Path, tmp_path: Path) -> None:
    labels, templates, out = tmp_path / "labels.txt", tmp_path / "templates.txt", tmp_path / "models/x"
    labels.write_text("cat\nDOG!\n")
    templates.write_text("a photo of a {}.\n")
    options = ["--id", "x", "--out", str(out), "--labels", f"animals={labels}:{templates}"]
    result = run("export", siglip, *options)
    assert result.exit_code == 0, result.output
    manifest = read_manifest(out)
    assert manifest["quality"]["parity"]["text"]["engineWeights"]["cosineWorst"] > 0.999
    tokenizer = {key: value for key, value in manifest["text"]["tokenizer"].items() if key != "files"}
    assert tokenizer == {
        **{"kind": "hf-tokenizer", "model": "Unigram", "clean": "siglip", "charsmap": "longest"},
        **{"prefix": [], "suffix": [1], "endOfText": 1, "vocabularySize": UNIGRAM_SIZE},
    }
    assert [entry["path"] for entry in manifest["text"]["tokenizer"]["files"]] == ["tokenizer.json", "charsmap.bin"]
    rows = bundle_text_encoder(out, manifest)(["a photo of a dog", "A PHOTO of a dog?"])
    np.testing.assert_array_equal(rows[0], rows[1])


@pytest.mark.parametrize(("save", "clean"), [(save_t5, "canonicalize"), (save_gemma, "canonicalize"), (save_t5, None)])
def test_open_clips_hf_tokenizer(save: object, clean: str | None, tmp_path: Path) -> None:
    """Tokens and embeddings equal to open_clip's own, and the bundle's tokenizer equal to them."""
    size = BPE_SIZE if save is save_gemma else UNIGRAM_SIZE
    stated = {
        "hf_tokenizer_name": "some/where",
        "vocab_size": size,
        "tokenizer_kwargs": {"clean": clean} if clean else {},
    }
    config = {**SIGLIP, "text_cfg": {**SIGLIP["text_cfg"], **stated}}
    folder = save(save_open_clip(tmp_path / "model", config, SQUASHED))
    source, name = load_source(str(folder)), f"local-dir:{folder}"
    library, model = open_clip.get_tokenizer(name), open_clip.create_model(name).eval()
    facts, files = source.text.tokenizer.write(tmp_path)
    entries = [{"path": file.name} for file in files]
    own = bundle_tokenizer(tmp_path, {"contextLength": 20, "tokenizer": {**facts, "files": entries}})
    padded = library(HARD).tolist()
    for text, ids, edge, expected in zip(
        HARD, source.text.tokenizer.encode(HARD), own.encode(HARD), padded, strict=True
    ):
        assert ids == edge == expected[: len(ids)], text
        assert set(expected[len(ids) :]) <= {source.text.tokenizer.pad_id}
        assert own.is_truncated(text) == source.text.tokenizer.is_truncated(text)
    with torch.inference_mode():
        embeddings = model.encode_text(library(TEXTS), normalize=True)
    np.testing.assert_allclose(float_text_encoder(source)(TEXTS), embeddings, atol=1e-6)


def test_a_multilingual_text_encoder_of_transformers(unigram: Path, tmp_path: Path) -> None:
    """open_clip's XLM-RoBERTa: its texts can be embedded here, and on onnxruntime-web; the engine refuses them."""
    sizes = {"hidden_size": 16, "num_attention_heads": 2, "num_hidden_layers": 1, "intermediate_size": 32}
    XLMRobertaConfig(**sizes, vocab_size=UNIGRAM_SIZE + 20, max_position_embeddings=90).save_pretrained(
        tmp_path / "text"
    )
    text = {"hf_model_name": str(tmp_path / "text"), "hf_tokenizer_name": "some/where", "hf_pooler_type": "mean_pooler"}
    text |= {"hf_proj_type": "linear", "hf_model_pretrained": False}
    config = {"embed_dim": 24, "vision_cfg": PLAIN["vision_cfg"], "text_cfg": text, "custom_text": True}
    folder = tmp_path / "model"
    folder.mkdir()
    model = fill(open_clip.CustomTextCLIP(24, PLAIN["vision_cfg"], text).eval(), np.random.default_rng(0))
    open_clip.set_model_preprocess_cfg(model, PREPARED)
    save_config_for_hf(model, folder / "open_clip_config.json", config)
    save_file(model.state_dict(), folder / WEIGHTS)
    XLMRobertaTokenizer.from_pretrained(shutil.copy(unigram, tmp_path / "sentencepiece.bpe.model")).save_pretrained(
        folder
    )
    source = load_source(str(folder))
    with torch.inference_mode():
        expected = model.encode_text(open_clip.get_tokenizer(f"local-dir:{folder}")(TEXTS), normalize=True)
    np.testing.assert_allclose(float_text_encoder(source)(TEXTS), expected, atol=1e-5)
    refused = run("export", folder, "--id", "x", "--out", tmp_path / "x", "--runtime", "engine")
    assert refused.exit_code == 1
    assert "HFTextEncoder" in refused.output
    assert not (tmp_path / "x").exists()
    made = run("export", folder, "--id", "x", "--out", tmp_path / "x")
    assert made.exit_code == 0, made.output
    manifest = read_manifest(tmp_path / "x")
    assert manifest["text"]["runtime"] == "onnx"
    rows = bundle_text_encoder(tmp_path / "x", manifest)(TEXTS)
    assert (rows * expected.numpy()).sum(axis=1).min() > 0.99


def test_the_charsmap_is_sentencepieces_and_tokenizers_own(unigram: Path) -> None:
    content = sentencepiece.sentencepiece_model_pb2.ModelProto.FromString(unigram.read_bytes())
    charsmap = Charsmap(content.normalizer_spec.precompiled_charsmap)
    theirs = normalizers.Precompiled(content.normalizer_spec.precompiled_charsmap)
    options = {"add_dummy_prefix": False, "escape_whitespaces": False, "remove_extra_whitespaces": False}
    whole = sentencepiece.SentencePieceNormalizer(rule_name="nmt_nfkc", **options)
    for text in HARD:
        assert charsmap.normalise(text, LONGEST) == whole.normalize(text), text
        assert charsmap.normalise(text, GRAPHEMES) == theirs.normalize_str(text), text
    assert charsmap.normalise("ｶﾞ ½", LONGEST) == "ガ 1⁄2"


def test_a_vocabulary_of_another_checkpoint(siglip: Path, tmp_path: Path) -> None:
    shutil.copytree(siglip, tmp_path / "copy")
    save_gemma(tmp_path / "copy")
    (tmp_path / "copy/spiece.model").unlink()
    with pytest.raises(SourceError, match=r"ids up to 799, the text encoder's token table has 500 rows.*--image-only"):
        load_source(str(tmp_path / "copy"))


def test_files_that_are_no_tokenizer(siglip: Path, tmp_path: Path) -> None:
    shutil.copytree(siglip, tmp_path / "copy")
    (tmp_path / "copy/spiece.model").write_bytes(b"no model")
    with pytest.raises(SourceError, match=r"copy: the tokenizer .*copy cannot be loaded: .*--image-only"):
        load_source(str(tmp_path / "copy"))
    (tmp_path / "copy/spiece.model").unlink()
    with pytest.raises(SourceError, match=r"there is no tokenizer in .*none of tokenizer\.json, spiece\.model"):
        load_source(str(tmp_path / "copy"))
    assert load_source(str(tmp_path / "copy"), image_only=True).text is None


def test_a_tokenizer_of_a_kind_that_the_edge_lacks(tmp_path: Path) -> None:
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "cat", "##s"]
    tokenizer = BertTokenizer(vocab={word: id for id, word in enumerate(words)})
    problem = HfTokenizer(tokenizer, 16, 8, "whitespace").edge_problem()
    assert (
        "a WordPiece, and the edge has CLIP's byte-pair encoding and, by a tokenizer.json, Unigram and BPE" in problem
    )


def test_the_memory_that_a_tokenizer_takes_is_counted(siglip: Path, tmp_path: Path) -> None:
    assert run("export", siglip, "--id", "x", "--out", tmp_path / "x").exit_code == 0
    manifest = read_manifest(tmp_path / "x")
    taken = encoder_bytes(manifest, "text")
    assert load_source(str(siglip)).text.tokenizer.heap_bytes == 30 * (tmp_path / "x/tokenizer.json").stat().st_size
    manifest["text"]["tokenizer"]["files"][0]["bytes"] += 4 * MEBI
    assert encoder_bytes(manifest, "text") == taken + 120 * MEBI
    with pytest.raises(FitError, match=r"the text encoder takes 12\d\.\d MiB of memory.*\n.*--image-only"):
        check_encoders(fit_of(manifest))


def test_a_clip_with_another_vocabulary(tmp_path: Path) -> None:
    """Pooled at the end of text that its configuration names; refused if its tokenizer's is another."""
    config = CLIPConfig(
        text_config={**SIZES, "vocab_size": UNIGRAM_SIZE, "max_position_embeddings": 20, "eos_token_id": 1},
        vision_config={**SIZES, "image_size": 32, "patch_size": 8},
        projection_dim=16,
    )
    model = fill(CLIPModel(config).eval(), np.random.default_rng(0))
    model.save_pretrained(tmp_path / "clip")
    source = load_source(str(save_t5(tmp_path / "clip")))
    ids = load(tmp_path / "clip")(TEXTS, padding=True, max_length=20, truncation=True, return_tensors="pt").input_ids
    with torch.inference_mode():
        expected = nn.functional.normalize(model.get_text_features(ids).pooler_output, dim=-1)
    np.testing.assert_allclose(float_text_encoder(source)(TEXTS), expected, atol=1e-6)
    result = run("export", tmp_path / "clip", "--id", "x", "--out", tmp_path / "x")
    assert result.exit_code == 0, result.output
    tokenizer = read_manifest(tmp_path / "x")["text"]["tokenizer"]
    assert (tokenizer["kind"], tokenizer["endOfText"]) == ("hf-tokenizer", 1)
    stated = json.loads((tmp_path / "clip/config.json").read_text())
    stated["text_config"]["eos_token_id"] = 3
    (tmp_path / "clip/config.json").write_text(json.dumps(stated))
    refused = run("export", tmp_path / "clip", "--id", "x", "--out", tmp_path / "y")
    assert refused.exit_code == 1
    assert "the output at the token 3" in refused.output


def test_padding_before_a_text(siglip: Path, tmp_path: Path) -> None:
    """Embedded here as the library does it; the edge fills texts up at their end."""
    shutil.copytree(siglip, tmp_path / "left")
    stated = json.loads((siglip / "tokenizer_config.json").read_text())
    (tmp_path / "left/tokenizer_config.json").write_text(json.dumps({**stated, "padding_side": "left"}))
    source, model = load_source(str(tmp_path / "left")), SiglipModel.from_pretrained(siglip)
    assert "fills them up before their start" in source.text.edge_problem()
    tokenizer = load(tmp_path / "left")
    ids = tokenizer(TEXTS, padding="max_length", max_length=CONTEXT, truncation=True, return_tensors="pt").input_ids
    assert ids[0, 0] == 1
    trained = load_model(str(tmp_path / "left"), None, "sigmoid", 2)
    np.testing.assert_array_equal(trained.pad(source.text.tokenizer.encode(TEXTS)), ids)
    with torch.inference_mode():
        expected = nn.functional.normalize(model.get_text_features(ids).pooler_output, dim=-1)
    np.testing.assert_allclose(float_text_encoder(source)(TEXTS), expected, atol=1e-6)
