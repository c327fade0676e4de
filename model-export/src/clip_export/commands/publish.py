"""What `publish` does: a bundle to R2, its manifest last, or a look at one that is to be deployed as assets.

Beside a bundle in the bucket lies `published.json`, {path: sha256} of the files that are whole there: R2 writes an
object whole or not at all, but Wrangler cannot ask for its hash. It is written before an object is replaced (without
it) and after a file is there (with it), so that it never names one that is not there.
"""

from __future__ import annotations

import json
import tempfile
import tomllib
from pathlib import Path
from typing import Any

from rich.console import Console

from ..errors import ExportError
from ..manifest import PART_BYTES, files_of, read_manifest
from ..progress import bytes_bar
from ..wrangler import CONFIG, Bucket

RECORD = "published.json"
MOST_BYTES = 300 * 1024 * 1024
"""that Wrangler uploads as one object"""
WORTH_A_RECORD = 1024 * 1024
"""bytes of a file; each call of Wrangler takes seconds, and smaller ones are as soon uploaded again"""


class PublishError(ExportError):
    """A bundle lies or is made so that it cannot be published; the message says what to change."""


def publish_to_bucket(console: Console, folder: Path, bucket: Bucket) -> None:
    """Uploads a bundle under models/<id>/; files that are there already are skipped. Raises WranglerError."""
    manifest = read_manifest(folder)
    prefix = f"models/{manifest['id']}"
    entries = {entry["path"]: entry for entry in files_of(manifest)}
    check_sizes(entries, MOST_BYTES, "Wrangler uploads")
    found = read_record(bucket, prefix)
    there = {path: sha256 for path, sha256 in found.items() if path in entries and entries[path]["sha256"] == sha256}
    missing = [entry for path, entry in entries.items() if path not in there]
    for path in there:
        console.print(f"{path}: is there already", highlight=False)
    if any(entry["path"] in found for entry in missing):
        write_record(bucket, prefix, there)
    with bytes_bar(manifest["id"], sum(entry["bytes"] for entry in missing)) as advance:
        for entry in missing:
            bucket.put(f"{prefix}/{entry['path']}", folder / entry["path"])
            there[entry["path"]] = entry["sha256"]
            advance(entry["bytes"])
            if entry["bytes"] >= WORTH_A_RECORD or entry is missing[-1]:
                write_record(bucket, prefix, there)
    bucket.put(f"{prefix}/model.json", folder / "model.json")
    console.print(
        f"{manifest['id']}: published to {bucket.name}, revision {manifest['revision'][:12]}", highlight=False
    )
    for line in what_is_missing(read_config(bucket.project), manifest["id"], bucket.name):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def look_at_assets(console: Console, folder: Path, project: Path) -> None:
    """A bundle that is deployed with the Worker. Raises PublishError if it is not where Wrangler takes it from."""
    manifest = read_manifest(folder)
    config = read_config(project)
    place = project / config.get("assets", {}).get("directory", "public") / "models" / manifest["id"]
    if folder.resolve() != place.resolve():
        raise PublishError(f"static assets lie in {place}: export with --out {place}, or give --bucket NAME for R2")
    check_sizes({entry["path"]: entry for entry in files_of(manifest)}, PART_BYTES, "static assets take")
    for line in what_is_missing(config, manifest["id"], None):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    console.print(f"{manifest['id']} is ready to be deployed: npm run deploy", highlight=False)


def check_sizes(entries: dict[str, dict[str, Any]], most: int, who: str) -> None:
    """Raises PublishError naming the files that have more than `most` bytes."""
    large = [path for path, entry in entries.items() if entry["bytes"] > most]
    if large:
        raise PublishError(f"{', '.join(large)}: {who} at most {most // 1024 // 1024} MiB a file; export again")


def read_record(bucket: Bucket, prefix: str) -> dict[str, str]:
    """What is known to be there; nothing if nobody has said."""
    content = bucket.get(f"{prefix}/{RECORD}")
    try:
        record = json.loads(content or b"{}")
    except ValueError:
        return {}
    return record if isinstance(record, dict) else {}


def write_record(bucket: Bucket, prefix: str, there: dict[str, str]) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / RECORD
        file.write_text(json.dumps(there, indent=2) + "\n", encoding="utf-8")
        bucket.put(f"{prefix}/{RECORD}", file)


def read_config(project: Path) -> dict[str, Any]:
    """The project's wrangler.toml."""
    try:
        return tomllib.loads((project / CONFIG).read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise PublishError(f"{project / CONFIG}: {error}") from error


def what_is_missing(config: dict[str, Any], id: str, bucket: str | None) -> list[str]:
    """What wrangler.toml still needs for a model to be found."""
    lines = []
    bound = [entry.get("bucket_name") for entry in config.get("r2_buckets", []) if entry["binding"] == "MODEL_BUCKET"]
    if bucket and bucket not in bound:
        lines.append(f'in {CONFIG}: [[r2_buckets]] with binding = "MODEL_BUCKET" and bucket_name = "{bucket}"')
    models = config.get("vars", {}).get("MODELS", "")
    if id not in [name.strip() for name in models.split(",")]:
        lines.append(f'in {CONFIG}: MODELS = "{",".join(part for part in (id, models) if part)}"')
    return lines
