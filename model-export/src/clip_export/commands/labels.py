"""What `labels` does."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console

from ..bundle import label_set_facts
from ..errors import ExportError
from ..growing_label_set import GrowingLabelSet
from ..label_embedding import embed_chunks, labels_in_chunk
from ..label_set import check_place
from ..label_texts import LabelTexts, check_texts
from ..manifest import read_manifest
from ..progress import Count, counting_bar
from ..prompt_encoders import PromptEncoder, bundle_prompt_encoder, source_prompt_encoder
from ..sources.source import load_source

LISTED = 5
"""prompts that were cut, in the message"""
WORKER_BYTES = 20 * 1024 * 1024
"""of a request's body, if the deployment does not say otherwise (functions/limits.ts)"""


@dataclass(frozen=True)
class LabelOptions:
    """How to embed."""

    device: torch.device
    source: str | None = None
    """the checkpoint whose text encoder is taken instead of the bundle's"""
    checkpoint: Path | None = None
    precision: str = "float32"
    float16: bool = False
    """write the rows in half precision"""


def write_labels(
    console: Console, bundle: Path, texts: LabelTexts, out: Path, options: LabelOptions, count: Count = counting_bar
) -> None:
    """Embeds a label set, going on with what an earlier run left."""
    check_texts(texts)
    check_place(out)
    manifest = read_manifest(bundle)
    encoder = choose_encoder(bundle, manifest, options)
    facts, dtype = label_set_facts(manifest, texts, encoder), "F16" if options.float16 else "F32"
    growing = GrowingLabelSet(out, facts, encoder.dim, labels_in_chunk(texts), dtype)
    labels = f"{len(texts.labels):,} labels"
    if growing.is_done():
        say(console, f"{out}: {labels} for {manifest['id']}, done already; to make it again, remove it")
        return
    try:
        if growing.resume():
            say(console, f"{growing.unfinished.name}: going on after {growing.rows:,} of {labels}")
        embed_into(growing, texts, encoder, count)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(kept(growing, labels)) from None
    except OSError as error:
        raise ExportError(f"{growing.unfinished}: {error.strerror or error}; {kept(growing, labels)}") from error
    say_cut(console, growing.cut, encoder.tokens.context_length)
    size = out.stat().st_size
    say(console, f"{out}: {labels} ({texts.count():,} prompts) for {manifest['id']}, {size / 1e6:.1f} MB")
    if size > WORKER_BYTES:
        say(
            console, f"The Worker takes {WORKER_BYTES // 2**20} MiB in one request: use --float16, or make several sets"
        )


def choose_encoder(bundle: Path, manifest: dict, options: LabelOptions) -> PromptEncoder:
    """The bundle's own, or the checkpoint's."""
    if options.source is None:
        if options.checkpoint or options.precision != "float32":
            raise ExportError(
                "--checkpoint and --precision are for --source: the bundle's own encoder has its arithmetic"
            )
        return bundle_prompt_encoder(bundle, manifest, options.device)
    source = load_source(options.source, checkpoint=options.checkpoint, device=options.device)
    return source_prompt_encoder(source, manifest, options.precision)


def embed_into(growing: GrowingLabelSet, texts: LabelTexts, encoder: PromptEncoder, count: Count) -> None:
    """The labels that are not there yet; each chunk is on the disk before the next begins."""
    done = texts.count(texts.labels[: growing.rows])
    with count("prompts", texts.count(), done) as advance:
        for chunk in embed_chunks(texts, encoder, growing.rows, advance):
            growing.append(chunk.rows, chunk.cut)
    growing.finish()


def kept(growing: GrowingLabelSet, labels: str) -> str:
    """What is there after a break."""
    growing.discard_empty()
    if not growing.rows:
        return "nothing was written"
    return (
        f"{growing.rows:,} of {labels} are in {growing.unfinished.name}; the same command goes on with them "
        f"(if you do not want to: remove it and {growing.record.name})"
    )


def say_cut(console: Console, cut: list[str], context_length: int) -> None:
    """Prompts whose end the model does not see."""
    if not cut:
        return
    few = "".join(f"\n  {text[:100]}" for text in cut[:LISTED])
    more = f"\n  and {len(cut) - LISTED:,} more" if len(cut) > LISTED else ""
    say(console, f"{len(cut):,} prompts are longer than {context_length} tokens, and were cut:{few}{more}")


def say(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)
