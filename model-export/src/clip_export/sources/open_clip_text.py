"""The texts of open_clip's models: its tokenizers, read, never assumed, and its text encoders."""

from __future__ import annotations

from functools import partial

import torch
from open_clip import CLIP, get_tokenizer
from open_clip.hf_model import HFTextEncoder
from open_clip.tokenizer import HFTokenizer, SimpleTokenizer
from open_clip.transformer import text_global_pool
from torch import nn

from ..clip_tokenizer import CLEANINGS, LOWER, VOCABULARY, ClipTokenizer
from ..engine import open_clip as engine_open_clip
from ..engine.open_clip import OpenClip
from ..hf_tokenizer import HfTokenizer, PaddedTokenizer
from ..tokenizer import Tokenizer, TokenizerError, pad
from ..tokenizer_files import check_vocabulary, having_files
from .open_clip_checkpoint import FOLDER, Checkpoint
from .source import SourceEncoder, SourceText

CLIPS = {"clean": LOWER, "reduction_mask": ""}
"""SimpleTokenizer's options, as clip_tokenizer.py has them"""
HF_CLEANING = "whitespace"
"""HFTokenizer's, if nothing is stated"""


def read_tokenizer(found: Checkpoint) -> Tokenizer:
    """The tokenizer that open_clip takes for a checkpoint. Raises TokenizerError."""
    text = found.config["text_cfg"]
    stated, rows = text.get("hf_tokenizer_name") or None, text.get("vocab_size", VOCABULARY)
    in_folder = stated and found.model_name.startswith(FOLDER)  # open_clip takes it from there, whatever is stated
    with having_files(found.model_name.removeprefix(FOLDER) if in_folder else stated):
        library = get_tokenizer(found.model_name)
    if isinstance(library, HFTokenizer):
        if not text.get("hf_model_name"):
            check_vocabulary(library.tokenizer, rows)
        if not library.tokenizer_mode:
            clean = (text.get("tokenizer_kwargs") or {}).get("clean", HF_CLEANING)
            zeroed = library.tokenizer.sep_token_id if library.strip_sep_token else None
            return HfTokenizer(library.tokenizer, library.context_length, rows, clean, zeroed)
        return PaddedTokenizer(library, library.context_length, f"tokenizer_mode {library.tokenizer_mode!r}")
    options = {**CLIPS, **(text.get("tokenizer_kwargs") or {})}
    clean = options["clean"]
    if clean in CLEANINGS:
        options["clean"] = LOWER
    others = [f"{key} {value!r}" for key, value in options.items() if CLIPS.get(key) != value]
    if others or not isinstance(library, SimpleTokenizer):
        return PaddedTokenizer(library, library.context_length, ", ".join(others) or type(library).__name__)
    if rows < VOCABULARY:
        raise TokenizerError(f"its tokenizer has {VOCABULARY} tokens, the text encoder's token table {rows} rows")
    return ClipTokenizer(library.context_length, rows, clean=clean)


def text_source(model: OpenClip, tokenizer: Tokenizer) -> SourceText:
    text = model if isinstance(model, CLIP) else model.text
    padded = sees_padding(text)
    encoder = SourceEncoder(
        partial(embed_texts, model, tokenizer, padded),
        partial(engine_open_clip.text_architecture, model),
        partial(engine_open_clip.text_tensors, model),
    )
    return SourceText(encoder, tokenizer, padded, pooling_problem(text, tokenizer))


def sees_padding(text: nn.Module) -> bool:
    """Whether a text's embedding depends on what the text is filled up with."""
    if isinstance(text, HFTextEncoder):
        return False  # its attention mask hides it
    plain = text.attn_mask is not None and getattr(text, "cls_emb", None) is None
    return not plain or pool_type_of(text) == "last"


def pooling_problem(text: nn.Module, tokenizer: Tokenizer) -> str | None:
    """As `SourceText.problem`: of a model that pools a token which its tokenizer does not end texts with."""
    if isinstance(text, HFTextEncoder):
        return None
    pooled = {"eos": end_of(text), "argmax": text.vocab_size - 1}.get(pool_type_of(text))
    if pooled is None or pooled == tokenizer.end_of_text:
        return None
    return f"a tokenizer whose end of text has the id {pooled}, its own has {tokenizer.end_of_text}"


def pool_type_of(text: nn.Module) -> str:
    return text.text_pool_type if isinstance(text, CLIP) else text.pool_type


def end_of(text: nn.Module) -> int | None:
    """What is pooled with the `pool_type` "eos"."""
    return text.text_eos_id if isinstance(text, CLIP) else text.eos_id


def embed_texts(model: OpenClip, tokenizer: Tokenizer, padded: bool, ids: torch.Tensor) -> torch.Tensor:
    """As SourceEncoder.embed; what `encode_text` gives for texts that are filled up to the context's length."""
    ids = ids.long()
    if padded:
        return model.encode_text(pad(tokenizer, ids), normalize=True)
    text = model if isinstance(model, CLIP) else model.text
    if isinstance(text, HFTextEncoder):
        return model.encode_text(ids, normalize=True)
    # `encode_text` takes no shorter texts, but what follows the end of a text changes nothing and is most of the work
    length = ids.shape[1]
    mask = torch.full((length, length), float("-inf"), device=ids.device).triu(1)
    x = text.ln_final(text.transformer(text.token_embedding(ids) + text.positional_embedding[:length], attn_mask=mask))
    pooled = text_global_pool(x, ids, pool_type_of(text), end_of(text))  # [n, width]
    projection = text.text_projection
    if projection is not None:
        pooled = projection(pooled) if isinstance(projection, nn.Linear) else pooled @ projection
    return nn.functional.normalize(pooled, dim=-1)
