"""Hugging Face's checkpoints: `CLIPModel`, and `SiglipModel` (SigLIP, SigLIP 2 of one resolution)."""

from __future__ import annotations

import json
import re
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import nn
from transformers import CLIPModel, SiglipModel
from transformers.utils import cached_file

from ..clip_tokenizer import VOCABULARY, ClipTokenizer, is_clips
from ..engine import architecture as engine_architecture
from ..engine import siglip as engine_siglip
from ..engine import weights as engine_weights
from ..hf_tokenizer import HfTokenizer
from ..tokenizer import Tokenizer, pad
from ..tokenizer_files import check_vocabulary, load_library, vocabulary_of
from .image_processor import read_preprocessing
from .source import OPEN_CLIP_CONFIG, Source, SourceEncoder, SourceError, SourceText, file_sha256, reading_tokenizer

CLIP_MEAN = [0.48145466, 0.4578275, 0.40821073]
CLIP_STD = [0.26862954, 0.26130258, 0.27577711]
HUB_NAME = re.compile(r"[\w-][\w.-]*/[\w.-]+")
WEIGHT_FILES = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin")
MODELS = {"clip": CLIPModel, "siglip": SiglipModel}
"""`model_type` of a `config.json` -> what loads it"""


def load_hugging_face(name: str, display_name: str | None = None, image_only: bool = False) -> Source:
    """From a folder, or by its name on the hub.

    Attention is computed in its plain ("eager") form, which is the one that the ONNX exporter can follow.
    Raises SourceError as load_source.
    """
    folder = Path(name)
    if folder.is_file():
        raise SourceError(f"{name} is a file: name the folder of the checkpoint (--checkpoint is for open_clip:MODEL)")
    if not folder.is_dir() and not HUB_NAME.fullmatch(name):  # the hub would be asked for half a minute
        raise SourceError(
            f"there is no folder {name}, and a hub name has the form owner/model (open_clip's are open_clip:NAME/TAG)"
        )
    if folder.is_dir() and not (folder / "config.json").is_file():
        raise SourceError(f"{name} has no config.json (nor open_clip's {OPEN_CLIP_CONFIG}): it is no checkpoint")
    try:
        model, preprocessing = _load(name)
        sha256 = weights_sha256(name)
    except SafetensorError as error:
        raise SourceError(f"{name}: the file of its weights is broken: {error}. Copy or download it again") from error
    except (OSError, ValueError) as error:
        raise SourceError(
            f"{name} is neither a folder nor a hub name of a CLIPModel or SiglipModel: {error}"
        ) from error
    called = display_name or (folder.resolve().name if folder.is_dir() else name)
    with reading_tokenizer(name):
        tokenizer = None if image_only else _tokenizer(name, model)
    make = _siglip if isinstance(model, SiglipModel) else _clip
    return make(model, called, sha256, preprocessing, tokenizer)


def _load(name: str) -> tuple[CLIPModel | SiglipModel, dict[str, Any]]:
    config = json.loads(Path(cached_file(name, "config.json")).read_text(encoding="utf-8"))
    if not isinstance(config, dict):
        raise SourceError(f"{name}: its config.json is no JSON object")
    kind = config.get("model_type", "clip")
    if kind not in MODELS:
        raise SourceError(f"{name} is a model of the type {kind!r}; supported are {', '.join(MODELS)}")
    model, loaded = MODELS[kind].from_pretrained(
        name,
        attn_implementation="eager",
        dtype=torch.float32,
        output_loading_info=True,
        ignore_mismatched_sizes=True,  # to name them, instead of the library's RuntimeError
    )
    if loaded["mismatched_keys"]:
        key, found, expected = sorted(loaded["mismatched_keys"])[0]
        raise SourceError(f"{name}: {key} has the shape {list(found)}, by its config.json it would be {list(expected)}")
    if loaded["missing_keys"]:  # transformers would fill them with random numbers and go on
        few = ", ".join(sorted(loaded["missing_keys"])[:3])
        raise SourceError(f"{name} lacks weights of a {MODELS[kind].__name__}: {few} …")
    defaults = {"image_mean": CLIP_MEAN, "image_std": CLIP_STD, "resample": 3} if kind == "clip" else {}
    return model.eval(), read_preprocessing(name, model.config.vision_config.image_size, defaults)


def _tokenizer(name: str, model: CLIPModel | SiglipModel) -> Tokenizer:
    """Raises TokenizerError."""
    text = model.config.text_config
    rows, context = text.vocab_size, text.max_position_embeddings
    if isinstance(model, CLIPModel):
        stated = vocabulary_of(name)  # many have none, for all of CLIP's are the same
        if (stated is None and rows == VOCABULARY) or (stated is not None and is_clips(stated)):
            return ClipTokenizer(context, rows)
    library = load_library(name)
    check_vocabulary(library, rows)
    return HfTokenizer(library, context, rows)


def _clip(
    model: CLIPModel, name: str, sha256: str, preprocessing: dict[str, Any], tokenizer: Tokenizer | None
) -> Source:
    config = model.config
    image = SourceEncoder(
        partial(embed_images, model),
        partial(engine_architecture.image_architecture, config),
        partial(engine_weights.image_tensors, model),
    )
    return Source(
        kind="huggingface",
        name=name,
        sha256=sha256,
        preprocessing=preprocessing,
        embedding_dim=config.projection_dim,
        logit_scale=float(model.logit_scale.detach().exp()),
        logit_bias=None,
        image=image,
        text=_clip_text(model, tokenizer) if tokenizer else None,
        model=model,
    )


def _clip_text(model: CLIPModel, tokenizer: Tokenizer) -> SourceText:
    problem = None
    if isinstance(tokenizer, ClipTokenizer):
        embed = partial(embed_texts_by_end, model, tokenizer.end_of_text)
    else:
        embed = partial(embed_texts, model)
        end = model.config.text_config.eos_token_id
        if tokenizer.end_of_text != end:
            problem = f"the output at the token {end}, with which its tokenizer does not end them"
    encoder = SourceEncoder(
        embed,
        partial(engine_architecture.text_architecture, model.config),
        partial(engine_weights.text_tensors, model),
    )
    return SourceText(encoder, tokenizer, padded=False, problem=problem)


def embed_images(model: CLIPModel | SiglipModel, pixels: torch.Tensor) -> torch.Tensor:
    """As SourceEncoder.embed."""
    return nn.functional.normalize(model.get_image_features(pixel_values=pixels).pooler_output, dim=-1)


def embed_texts_by_end(model: CLIPModel, end_of_text: int, ids: torch.Tensor) -> torch.Tensor:
    """As SourceEncoder.embed, by the output at the first end-of-text token: what follows it does not matter."""
    ids = ids.long()
    states = model.text_model(input_ids=ids).last_hidden_state  # [n, length, width]
    # Not the encoder's own pooling: some checkpoints name a wrong end-of-text token in their config.
    end = (ids == end_of_text).int().argmax(dim=-1)  # [n]
    pooled = states[torch.arange(ids.shape[0], device=ids.device), end]  # [n, width]
    return nn.functional.normalize(model.text_projection(pooled), dim=-1)


def embed_texts(model: CLIPModel | SiglipModel, ids: torch.Tensor) -> torch.Tensor:
    """As SourceEncoder.embed, by the model's own pooling."""
    return nn.functional.normalize(model.get_text_features(ids.long()).pooler_output, dim=-1)


def _siglip(
    model: SiglipModel, name: str, sha256: str, preprocessing: dict[str, Any], tokenizer: Tokenizer | None
) -> Source:
    def embed_padded(ids: torch.Tensor) -> torch.Tensor:
        return embed_texts(model, pad(tokenizer, ids))

    text = SourceEncoder(
        embed_padded, partial(engine_siglip.text_architecture, model), partial(engine_siglip.text_tensors, model)
    )
    return Source(
        kind="huggingface",
        name=name,
        sha256=sha256,
        preprocessing=preprocessing,
        embedding_dim=model.config.vision_config.hidden_size,
        logit_scale=float(model.logit_scale.detach().exp()),
        logit_bias=float(model.logit_bias.detach()),
        image=SourceEncoder(
            partial(embed_images, model),
            partial(engine_siglip.image_architecture, model),
            partial(engine_siglip.image_tensors, model),
        ),
        text=SourceText(text, tokenizer, padded=True) if tokenizer else None,
        model=model,
    )


def weights_sha256(name: str) -> str:
    """sha256 of the weight file as it lies on the disk (of the index, where the weights are in several files)."""
    for file in WEIGHT_FILES:
        path = cached_file(name, file, _raise_exceptions_for_missing_entries=False)
        if path:
            return file_sha256(path)
    raise OSError(f"none of {', '.join(WEIGHT_FILES)} found")
