"""Builds a model bundle: encoders, tokenizer, label sets, manifest. Everything is made in a folder beside the target
and moved there at the end, so that a broken export leaves the old bundle as it was."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .bundle_encoders import EncoderFile, Encoders, bundle_text_encoder
from .encoders import EncodeTexts
from .label_set import LabelSet, check_name, check_texts, embed_labels, write_label_set
from .manifest import (
    PART_BYTES,
    BundleError,
    file_entries,
    file_entry,
    revision,
    split_file,
    write_manifest,
)
from .progress import Track, silent
from .sources.source import Source, SourceText


@dataclass(frozen=True)
class LabelTexts:
    """What a built-in label set is made from."""

    name: str
    labels: list[str]
    templates: list[str]


@dataclass(frozen=True)
class BundleFacts:
    """What a person says of the model, and the sets to build in; the first is the default of `classify`."""

    id: str
    title: str
    license: str
    label_sets: list[LabelTexts] = field(default_factory=list)


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """A new folder beside `target` that takes its place if the block ends well, and is removed if it does not.

    The old folder's Markdown (a model card) is carried over. Raises BundleError if `target` holds something else than
    a bundle.
    """
    if target.exists() and any(target.iterdir()) and not (target / "model.json").is_file():
        raise BundleError(f"{target} is not empty and no model bundle: it would be deleted")
    target.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    folder.chmod(0o755)
    try:
        yield folder
        for card in target.glob("*.md"):
            shutil.copy2(card, folder / card.name)
        old = folder.with_name(f"{folder.name}-old")
        if target.exists():
            target.replace(old)
        folder.replace(target)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


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
        check_texts(texts.labels, texts.templates)
    towers = {
        name: _encoder_facts(folder, encoder, part_bytes) for name, encoder in encoders.write(folder, track).items()
    }
    manifest = _manifest(folder, source, facts, towers)
    encode_texts = bundle_text_encoder(folder, manifest, track) if facts.label_sets else None
    for texts in facts.label_sets:
        path = folder / "labels" / f"{texts.name}.safetensors"
        path.parent.mkdir(exist_ok=True)
        write_label_set(make_label_set(manifest, texts, encode_texts), path)
        manifest["labelSets"].append({"name": texts.name, "file": file_entry(folder, path)})
    write_manifest(folder, manifest)
    return manifest


def make_label_set(manifest: dict[str, Any], texts: LabelTexts, encode_texts: EncodeTexts) -> LabelSet:
    """The label set of these texts for the bundle of this manifest."""
    embeddings = embed_labels(texts.labels, texts.templates, encode_texts)
    return LabelSet(texts.name, manifest["id"], revision(manifest), texts.labels, texts.templates, embeddings)


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
