"""The model bundle's `model.json`: written here, read and checked by the Worker (and by `verify` and `labels` here).

Does not run anything: it knows files, hashes and facts.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from .atomic import whole_file
from .errors import BundleError

FORMAT = "edgeclip-model/1"
PART_BYTES = 25 * 1024 * 1024
"""Cloudflare takes no static asset larger than 25 MiB."""
ASSETS, R2 = "assets", "r2"
"""the manifest's `storage`; without it, assets"""


def split_file(path: Path, part_bytes: int = PART_BYTES) -> list[Path]:
    """The file itself if it fits, else its parts `name.1`, `name.2` … in order; the whole file is then removed."""
    if path.stat().st_size <= part_bytes:
        return [path]
    parts = []
    with path.open("rb") as whole:
        while chunk := whole.read(part_bytes):
            parts.append(path.with_name(f"{path.name}.{len(parts) + 1}"))
            parts[-1].write_bytes(chunk)
    path.unlink()
    return parts


def file_entry(folder: Path, path: Path) -> dict[str, Any]:
    """{path, bytes, sha256} of one file; the path is relative to the bundle's folder, with forward slashes."""
    content = path.read_bytes()
    return {
        "path": path.relative_to(folder).as_posix(),
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }


def name_by_content(folder: Path, entries: Iterable[dict[str, Any]]) -> None:
    """Renames files to `name-<first digits of their sha256>.suffix`, and changes their entries.

    A new version can so be uploaded beside the one that is in use, and is seen when its manifest is.
    """
    for entry in entries:
        path = folder / entry["path"]
        named = path.with_name(f"{path.stem}-{entry['sha256'][:12]}{path.suffix}")
        path.rename(named)
        entry["path"] = named.relative_to(folder).as_posix()


def file_entries(folder: Path, paths: Iterable[Path]) -> list[dict[str, Any]]:
    return [file_entry(folder, path) for path in paths]


def revision(manifest: dict[str, Any]) -> str:
    """sha256 over the parts that change an embedding (encoders, tokenizer, preprocessing: their facts and file hashes).

    A title, a label set or a measurement may change without making the embeddings of yesterday worthless.
    """
    parts = {key: manifest[key] for key in ("embeddingDim", "image", "text")}
    canonical = json.dumps(parts, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def write_manifest(folder: Path, manifest: dict[str, Any]) -> None:
    """Writes `model.json` with `format` and `revision` put in front."""
    content = {"format": FORMAT, "id": manifest["id"], "revision": revision(manifest), **manifest}
    text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    with whole_file(folder / "model.json") as path:
        path.write_text(text, encoding="utf-8")


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a bundle, after checking format, revision, and length and sha256 of every file.

    Raises BundleError naming the first thing that does not fit.
    """
    if not (folder / "model.json").is_file():
        raise BundleError(f"{folder} is not a model bundle: it has no model.json")
    try:
        manifest = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BundleError(f"{folder} is not a model bundle: {error}") from error
    if manifest.get("format") != FORMAT:
        raise BundleError(f"format is {manifest.get('format')!r}, expected {FORMAT!r}")
    for entry in files_of(manifest):
        path = folder / entry["path"]
        if not path.is_file():
            raise BundleError(f"{entry['path']} is missing")
        if file_entry(folder, path) != entry:
            raise BundleError(f"{entry['path']} does not have the length and sha256 of the manifest")
    if manifest["revision"] != revision(manifest):
        raise BundleError("revision is not the one of image, text and embeddingDim")
    return manifest


def files_of(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    """Every file entry of a manifest."""
    text = manifest["text"]
    text_files = [*text["files"], *text["tokenizer"]["files"]] if text else []
    return [*manifest["image"]["files"], *text_files, *(entry["file"] for entry in manifest["labelSets"])]


def read_parts(folder: Path, entries: Iterable[dict[str, Any]]) -> bytes:
    """The bytes of a file that may be split."""
    return b"".join((folder / entry["path"]).read_bytes() for entry in entries)
