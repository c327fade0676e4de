"""What an export was asked for, as one hash in its manifest: asked for again, there is nothing to do."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from .bundle import BundleFacts
from .errors import BundleError
from .manifest import file_entries, read_manifest
from .photo_list import PhotoList
from .sources.source import Source, SourceText, file_sha256


def request_sha256(
    checkpoint: Source, facts: BundleFacts, photos: Sequence[PhotoList], options: dict[str, Any], pictures: Path | None
) -> str:
    """sha256 over all that changes what is written: the checkpoint, its modules and its tokenizer, names and label
    sets, the photos and pictures byte by byte, the options, and the version of this package."""
    asked = {
        "clip-export": version("clip-export"),
        "source": {**checkpoint.facts(), "modules": repr(checkpoint.model)},
        "text": text_facts(checkpoint.text) if checkpoint.text else None,
        "preprocessing": checkpoint.preprocessing,
        "similarity": checkpoint.similarity(),
        "facts": asdict(facts),
        "photos": [[item.name, item.labels, [content(file) for file in item.files]] for item in photos],
        "pictures": [content(file) for file in sorted(pictures.iterdir()) if file.is_file()] if pictures else [],
        "options": options,
    }
    return hashlib.sha256(json.dumps(asked, sort_keys=True, default=str).encode()).hexdigest()


def text_facts(text: SourceText) -> dict[str, Any]:
    """The tokenizer as a bundle has it, for the sha256 of the weights says nothing of it, and how texts are padded."""
    with tempfile.TemporaryDirectory() as scratch:
        facts, files = text.tokenizer.write(Path(scratch))
        return {**facts, "length": text.context_length, **text.padding(), "files": file_entries(Path(scratch), files)}


def is_done(out: Path, request: str) -> bool:
    """Whether `out` holds a whole bundle that was made for this request: every file's sha256 is its manifest's."""
    try:
        return read_manifest(out).get("request") == request
    except BundleError:
        return False


def content(file: Path) -> str | None:
    """None of a file that is not there: whoever reads it says so."""
    return file_sha256(file) if file.is_file() else None
