"""The checkpoint that is trained: loaded by `sources`, and saved as its library saves it, so that `export` takes it."""

from __future__ import annotations

import json
import math
import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from open_clip import CLIP, CustomTextCLIP
from open_clip.push_to_hf_hub import save_config_for_hf
from safetensors.torch import save_file
from torch import nn
from torch.nn.utils.rnn import pad_sequence
from transformers import PreTrainedModel
from transformers.utils import cached_file

from ..sources.open_clip_checkpoint import find
from ..sources.source import OPEN_CLIP, OPEN_CLIP_CONFIG, Source, SourceText, load_source
from ..tokenizer import Tokenizer, TokenizerError, pad
from .errors import TrainError
from .step import Trainee

TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "spiece.model",
    "tokenizer.model",
    "sentencepiece.bpe.model",
)
RESAMPLE = {"bilinear": 2, "bicubic": 3}
SIGMOID_SCALE = 10.0
"""where SigLIP's logit scale begins (Zhai et al. 2023, 3.2)"""


@dataclass(frozen=True)
class TrainedModel:
    """A checkpoint in memory while it is trained."""

    source: Source
    trainee: Trainee
    tokenise: Callable[[str], tuple[list[int], bool]]
    """as batches.Tokenise"""
    pad: Callable[[list[list[int]]], torch.Tensor]
    """as batches.Pad"""
    save: Callable[[Path], None]
    """Writes a checkpoint into an empty folder."""


def load_model(
    name: str, checkpoint: Path | None, loss: str, batch: int, gradient_checkpointing: bool = False
) -> TrainedModel:
    """`name` and `checkpoint` as load_source; `batch`: the pairs of a step, of all processes.

    Raises SourceError, and TrainError for what cannot be trained so.
    """
    source = load_source(name, checkpoint=checkpoint)
    if source.text is None:
        raise TrainError(f"{name}: its texts cannot be encoded here, so there is nothing to train with pairs")
    if source.kind == "huggingface":
        save = _prepare_hugging_face(source, name, loss)
    else:
        save = _prepare_open_clip(source, name, checkpoint, sigmoid_bias(batch) if loss == "sigmoid" else None)
    if gradient_checkpointing:
        _switch_checkpointing(source.model)
    trainee = Trainee(source.model, source.image.embed, source.text.encoder.embed)
    tokenise, pad = partial(_tokenise, source.text.tokenizer, threading.Lock()), partial(_pad, source.text)
    return TrainedModel(source, trainee, tokenise, pad, save)


def _tokenise(tokenizer: Tokenizer, lock: threading.Lock, text: str) -> tuple[list[int], bool]:
    with lock:  # those of transformers cannot be shared by threads
        (ids,) = tokenizer.encode([text])
        if len(ids) < tokenizer.context_length:
            return ids, False
        try:
            return ids, tokenizer.is_truncated(text)
        except TokenizerError:  # of open_clip's some do not say it
            return ids, False


def _pad(text: SourceText, ids: list[list[int]]) -> torch.Tensor:
    """To the context's length where the encoder sees what is filled in, else to the longest of the batch."""
    rows = [torch.tensor(row) for row in ids]
    if text.padded:
        return torch.cat([pad(text.tokenizer, row[None]) for row in rows])
    return pad_sequence(rows, batch_first=True, padding_value=text.tokenizer.pad_id)


def _switch_checkpointing(model: nn.Module) -> None:
    if isinstance(model, PreTrainedModel):
        enable = getattr(model, "activation_checkpointing_enable", None) or model.gradient_checkpointing_enable
        enable({"use_reentrant": False})
    else:
        model.set_grad_checkpointing(True)


def sigmoid_bias(batch: int) -> float:
    """By which an untrained model says of each pair what is so of 1 in `batch`; SigLIP's -10 is that of 32,768 pairs.

    From a bias far below that, as -10 is for a small batch, it takes thousands of steps to come back.
    """
    return -math.log(batch - 1) if batch > 2 else -0.1


def _prepare_hugging_face(source: Source, name: str, loss: str) -> Callable[[Path], None]:
    has_bias = source.logit_bias is not None
    if has_bias != (loss == "sigmoid"):
        kind, other = type(source.model).__name__, "infonce" if loss == "sigmoid" else "sigmoid"
        raise TrainError(
            f"{name}: a {kind} has {'a' if has_bias else 'no'} logit_bias, so its loss is --loss {other}. "
            "(Models of open_clip take both.)"
        )
    source.model.set_attn_implementation("sdpa")  # the plain form is the ONNX exporter's; this is faster and the same

    found = {file: cached_file(name, file, _raise_exceptions_for_missing_entries=False) for file in TOKENIZER_FILES}

    def save(folder: Path) -> None:
        source.model.save_pretrained(folder)
        write_image_processor(source.preprocessing, folder)
        for file, path in found.items():
            if path:
                shutil.copyfile(path, folder / file)

    return save


def write_image_processor(preprocessing: dict[str, Any], folder: Path) -> None:
    """`preprocessor_config.json`, from the manifest's words."""
    side = preprocessing["size"]
    square = {"height": side, "width": side}
    shortest = preprocessing["resize"] == "shortest"
    processor = {
        "image_processor_type": "CLIPImageProcessor" if shortest else "SiglipImageProcessor",
        "do_resize": True,
        "size": {"shortest_edge": side} if shortest else square,
        "resample": RESAMPLE[preprocessing["interpolation"]],
        **({"do_center_crop": True, "crop_size": square} if shortest else {}),
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": preprocessing["mean"],
        "image_std": preprocessing["std"],
        "do_convert_rgb": True,
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(processor, indent=2) + "\n", encoding="utf-8")


def _prepare_open_clip(
    source: Source, name: str, checkpoint: Path | None, bias: float | None
) -> Callable[[Path], None]:
    """`bias`: where that of the sigmoid loss begins, in a model that has none; None: InfoNCE, whose model has none."""
    plain = name.removeprefix(OPEN_CLIP)
    found = find(plain, checkpoint)
    config = dict(found.config)
    if (found.settings or {}).get("quick_gelu"):
        config["quick_gelu"] = True
    model = source.model
    if bias is None:
        model.logit_bias = None
        config.pop("init_logit_bias", None)
    elif model.logit_bias is None:
        model.logit_bias = nn.Parameter(torch.full_like(model.logit_scale.data, bias))
        model.logit_scale.data.fill_(math.log(SIGMOID_SCALE))
        config["init_logit_bias"] = bias

    def save(folder: Path) -> None:
        write_open_clip(model, config, folder)
        if config["text_cfg"].get("hf_tokenizer_name"):
            library = source.text.tokenizer.library
            getattr(library, "tokenizer", library).save_pretrained(folder)

    return save


def write_open_clip(model: CLIP | CustomTextCLIP, config: dict[str, Any], folder: Path) -> None:
    """As open_clip's `save_for_hf`. `config`: its `model_cfg`."""
    save_config_for_hf(model, folder / OPEN_CLIP_CONFIG, config)
    tensors = {key: value.detach().cpu().contiguous() for key, value in model.state_dict().items()}
    save_file(tensors, folder / "open_clip_model.safetensors", metadata={"format": "pt"})
