"""Text encoders for prompts by the million: a bundle's own, or the checkpoint's that it was made from.

The bundle's own gives what the edge gives (label_set.py says why it is the default). The checkpoint's is for bundles
without a text encoder, and runs in half precision on a GPU.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn

from .bundle_encoders import ONNX, bundle_tokenizer
from .devices import DTYPES, lent_to
from .encoders import filled_up, open_session
from .engine.file import read_engine_tensors
from .engine.text_encoder import TextEncoder
from .errors import ExportError
from .manifest import BundleError, read_parts
from .prompt_tokens import prompt_tokens
from .sources.source import Source

BATCH = 512


class Tokens(Protocol):
    """What of a `Tokenizer` is needed here."""

    context_length: int

    def encode(self, texts: Sequence[str]) -> list[list[int]]: ...

    def is_truncated(self, text: str) -> bool: ...


@dataclass(frozen=True)
class PromptEncoder:
    """A text encoder, and how it likes its batches."""

    tokens: Tokens
    embed: Callable[[torch.Tensor], torch.Tensor]
    """token ids [n, length] on the CPU -> float32 [n, dim] on the CPU, unit rows"""
    dim: int
    called: str | None = None
    """what a label set's file says of it; None: the bundle's own"""
    batch: int = BATCH
    shares_starts: bool = False
    """whether a batch is cheaper whose texts begin alike"""
    running: Callable[[], AbstractContextManager[None]] = field(default=nullcontext)
    """a context in which `embed` may be called"""


def bundle_prompt_encoder(folder: Path, manifest: dict[str, Any], device: torch.device) -> PromptEncoder:
    """A bundle's own. Raises BundleError for a bundle without one."""
    text, dim = manifest["text"], manifest["embeddingDim"]
    if text is None:
        raise BundleError(
            f"{manifest['id']} has no text encoder: it was exported with --image-only. "
            "Name the checkpoint that it was made from: --source"
        )
    content, tokenizer = read_parts(folder, text["files"]), bundle_tokenizer(folder, text)
    tokens = prompt_tokens(tokenizer)
    if text["runtime"] == ONNX:
        session = open_session(content)

        def run(ids: torch.Tensor) -> torch.Tensor:
            rows = np.array([filled_up(row, text) for row in ids.tolist()], np.int32)
            return torch.from_numpy(session.run(None, {"input_ids": rows})[0])

        return PromptEncoder(tokens, run, dim, batch=1)  # a dynamically quantised graph answers differently in company
    encoder = TextEncoder(read_engine_tensors(content), text["architecture"], device)
    embed = partial(encoder, end_of_text=tokenizer.end_of_text, pad_id=text.get("padId"))
    return PromptEncoder(tokens, lambda ids: embed(ids).cpu(), dim, shares_starts=text["architecture"]["causal"])


def source_prompt_encoder(source: Source, manifest: dict[str, Any], precision: str = "float32") -> PromptEncoder:
    """The text encoder of the checkpoint that a bundle was made from, on the source's device.

    `precision`: of its matrix products; float32, bfloat16 or float16. Raises SourceError for another checkpoint.
    """
    source.check_made(manifest)
    if source.text is None:
        raise ExportError(f"{source.name}: its texts cannot be embedded, only its images are loaded")
    device, dtype = source.device, DTYPES[precision]

    @torch.inference_mode()
    def embed(ids: torch.Tensor) -> torch.Tensor:
        with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
            rows = source.text.encoder.embed(ids.to(device))
        return nn.functional.normalize(rows.float(), dim=-1).cpu()

    tokens = prompt_tokens(source.text.tokenizer)
    running = partial(lent_to, device, source.model)
    return PromptEncoder(tokens, embed, source.embedding_dim, f"{source.name}, {precision}", running=running)
