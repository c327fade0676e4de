"""Builds a model bundle: encoders, tokenizer, label sets, manifest."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from .bundle_encoders import EncoderFile, Encoders
from .label_embedding import embed_all
from .label_set import LabelSet, check_name, write_label_set
from .label_texts import LabelTexts, check_texts
from .manifest import (
    ASSETS,
    PART_BYTES,
    R2,
    file_entries,
    file_entry,
    files_of,
    name_by_content,
    revision,
    split_file,
    write_manifest,
)
from .progress import Track, silent
from .prompt_encoders import PromptEncoder, bundle_prompt_encoder
from .sources.source import Source, SourceText


@dataclass(frozen=True)
class BundleFacts:
    """What a person says of the model, and the sets to build in; the first is the default of `classify`."""

    id: str
    title: str
    license: str
    label_sets: list[LabelTexts] = field(default_factory=list)
    storage: str = ASSETS
    """where its files will lie: static assets, in parts of 25 MiB, or R2, whole and named by their content"""


def write_bundle(
    folder: Path,
    source: Source,
    encoders: Encoders,
    facts: BundleFacts,
    track: Track = silent,
    part_bytes: int = PART_BYTES,
) -> dict[str, Any]:
    """Fills `folder` with a bundle (all but the measurements) and returns its manifest."""
    check_name(facts.id)
    for texts in facts.label_sets:
        check_name(texts.name)
        check_texts(texts)
    part_bytes = sys.maxsize if facts.storage == R2 else part_bytes
    towers = {
        name: _encoder_facts(folder, encoder, part_bytes) for name, encoder in encoders.write(folder, track).items()
    }
    manifest = _manifest(folder, source, facts, towers)
    if facts.storage == R2:
        manifest["storage"] = R2
        name_by_content(folder, files_of(manifest))
    encoder = bundle_prompt_encoder(folder, manifest, source.device) if facts.label_sets else None
    for texts in track(facts.label_sets, "label sets"):
        path = folder / "labels" / f"{texts.name}.safetensors"
        path.parent.mkdir(exist_ok=True)
        write_label_set(make_label_set(manifest, texts, encoder), path)
        entry = file_entry(folder, path)
        if facts.storage == R2:
            name_by_content(folder, [entry])
        manifest["labelSets"].append({"name": texts.name, "file": entry})
    write_manifest(folder, manifest)
    return manifest


def make_label_set(manifest: dict[str, Any], texts: LabelTexts, encoder: PromptEncoder) -> LabelSet:
    """The label set of these texts for the bundle of this manifest."""
    return replace(label_set_facts(manifest, texts, encoder), embeddings=embed_all(texts, encoder).rows)


def label_set_facts(manifest: dict[str, Any], texts: LabelTexts, encoder: PromptEncoder) -> LabelSet:
    """The set, but its embeddings [0, dim]."""
    more = {key: json.dumps(prompts, ensure_ascii=False) for key, prompts in texts.metadata().items()}
    if encoder.called:
        more["textEncoder"] = json.dumps(encoder.called, ensure_ascii=False)
    none = np.zeros((0, manifest["embeddingDim"]), np.float32)
    names, templates = list(texts.labels), list(texts.templates)
    return LabelSet(texts.name, manifest["id"], revision(manifest), names, templates, none, more)


def _encoder_facts(folder: Path, encoder: EncoderFile, part_bytes: int) -> dict[str, Any]:
    return {**encoder.facts, "files": file_entries(folder, split_file(encoder.path, part_bytes))}


def _manifest(folder: Path, source: Source, facts: BundleFacts, towers: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return {
        "id": facts.id,
        "title": facts.title,
        "license": facts.license,
        "source": source.facts(),
        "embeddingDim": source.embedding_dim,
        "similarity": source.similarity(),
        "image": {**source.preprocessing, **towers["image"]},
        "text": _text_manifest(folder, source.text, towers["text"]) if source.text else None,
        "labelSets": [],
        "quality": {},
    }


def _text_manifest(folder: Path, text: SourceText, tower: dict[str, Any]) -> dict[str, Any]:
    """Writes the tokenizer's files, too."""
    tokenizer, files = text.tokenizer.write(folder)
    return {
        "contextLength": text.context_length,
        "tokenizer": {**tokenizer, "files": file_entries(folder, files)},
        **tower,
    }
