"""`publish` with the project's own Wrangler, into the R2 that `wrangler dev` has on this machine."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
from edge_worker import REPOSITORY, needs_node
from test_cli import run

from clip_export.commands.publish import what_is_missing
from clip_export.manifest import BundleError, read_manifest
from clip_export.wrangler import Bucket, WranglerError, complaint, find_project

BUCKET = "edgeclip-test"


@pytest.fixture(scope="module")
def r2_bundle(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small, of the image encoder alone: a file and its manifest."""
    out = tmp_path_factory.mktemp("models") / "random"
    result = run("export", checkpoint, "--id", "random", "--out", out, "--storage", "r2", "--image-only")
    assert result.exit_code == 0, result.output
    return out


def test_files_are_whole_and_named_by_their_content(checkpoint: Path, r2_bundle: Path, tmp_path: Path) -> None:
    (file,) = read_manifest(r2_bundle)["image"]["files"]
    assert file["path"] == f"image-{file['sha256'][:12]}.safetensors"
    assert read_manifest(r2_bundle)["storage"] == "r2"
    labels, templates = tmp_path / "labels.txt", tmp_path / "templates.txt"
    labels.write_text("red\ngreen\n")
    templates.write_text("{}\n")
    out = tmp_path / "with-texts"
    sets = ["--labels", f"colours={labels}:{templates}"]
    result = run("export", checkpoint, "--id", "random", "--out", out, "--storage", "r2", *sets)
    assert result.exit_code == 0, result.output
    (made,) = read_manifest(out)["labelSets"]
    assert made["file"]["path"] == f"labels/colours-{made['file']['sha256'][:12]}.safetensors"


def test_a_bundle_of_r2_is_not_written_where_assets_lie(checkpoint: Path) -> None:
    out = REPOSITORY / "public/models/never-written"
    result = run("export", checkpoint, "--id", "x", "--out", out, "--storage", "r2")
    assert result.exit_code == 1
    assert "give --out a folder outside public/" in result.output
    assert not out.exists()


def objects(state: Path) -> list[bytes]:
    """Whatever the local R2 holds."""
    return [path.read_bytes() for path in state.rglob("blobs/*") if path.is_file()]


def test_a_bundle_that_broke_off_goes_on(r2_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopped before its manifest; then nothing but that is uploaded, and the bucket has what the folder has."""
    needs_node()
    options = ["publish", r2_bundle, "--bucket", BUCKET, "--local", "--persist-to", tmp_path / "state"]
    options += ["--project", REPOSITORY]
    (file,) = read_manifest(r2_bundle)["image"]["files"]
    put, written = Bucket.put, []

    def put_until_manifest(bucket: Bucket, key: str, path: Path) -> None:
        if key.endswith("model.json"):
            raise KeyboardInterrupt
        put(bucket, key, path)

    def put_and_note(bucket: Bucket, key: str, path: Path) -> None:
        written.append(key)
        put(bucket, key, path)

    monkeypatch.setattr(Bucket, "put", put_until_manifest)
    stopped = run(*options)
    assert stopped.exit_code == 130, stopped.output
    assert (r2_bundle / "model.json").read_bytes() not in objects(tmp_path / "state")
    monkeypatch.setattr(Bucket, "put", put_and_note)
    result = run(*options)
    assert result.exit_code == 0, result.output
    assert f"{file['path']}: is there already" in result.output
    assert written == ["models/random/model.json"]
    stored = objects(tmp_path / "state")
    assert (r2_bundle / file["path"]).read_bytes() in stored
    assert (r2_bundle / "model.json").read_bytes() in stored
    assert {file["path"]: file["sha256"]} in [json.loads(content) for content in stored if content[:1] == b"{"]
    assert f'bucket_name = "{BUCKET}"' in result.output
    assert 'MODELS = "random,tiny-64"' in result.output


def test_wranglers_own_words(tmp_path: Path) -> None:
    sign = b"\x1b[31m\xe2\x9c\x98 \x1b[41;31m[\x1b[41;97mERROR\x1b[41;31m]\x1b[0m "
    said = sign + b'\x1b[1mThe bucket name "B" is invalid.\x1b[0m\n'
    result = CompletedProcess([], 1, stdout=b"wrangler 4", stderr=said + b"Logs were written to ...\n")
    assert complaint(result) == 'The bucket name "B" is invalid.'
    assert complaint(CompletedProcess([], 3, b"", b"")) == "exit code 3"
    with pytest.raises(WranglerError, match="has no Wrangler: run npm install there"):
        Bucket("bucket", tmp_path, ("--local",)).get("x")


def test_the_project_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_project(REPOSITORY / "public/models/tiny-64") == REPOSITORY
    monkeypatch.chdir(REPOSITORY / "model-export")
    assert find_project(tmp_path) == REPOSITORY
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WranglerError, match="give --project"):
        find_project(tmp_path)


def test_assets_are_looked_at(r2_bundle: Path) -> None:
    ready = run("publish", REPOSITORY / "public/models/tiny-64")
    assert ready.exit_code == 0, ready.output
    assert "tiny-64 is ready to be deployed: npm run deploy" in ready.output
    elsewhere = run("publish", r2_bundle, "--project", REPOSITORY)
    assert elsewhere.exit_code == 1
    assert "or give --bucket NAME for R2" in elsewhere.output


def test_a_damaged_bundle_is_not_published(r2_bundle: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(r2_bundle, tmp_path / "copy")
    next(copy.glob("image-*")).write_bytes(b"")
    with pytest.raises(BundleError):
        read_manifest(copy)
    result = run("publish", copy, "--bucket", BUCKET, "--local", "--project", REPOSITORY)
    assert result.exit_code == 1
    assert "does not have the length and sha256 of the manifest" in result.output


CONFIG: dict[str, Any] = {
    "r2_buckets": [{"binding": "MODEL_BUCKET", "bucket_name": BUCKET}],
    "vars": {"MODELS": "tiny-64, random"},
}


def test_nothing_is_missing_where_all_is_there() -> None:
    assert what_is_missing(CONFIG, "random", BUCKET) == []
    assert len(what_is_missing(CONFIG, "other", "other")) == 2
