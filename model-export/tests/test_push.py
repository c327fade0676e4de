"""`push` against the real Worker in workerd, over a connection that breaks, too."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import httpx
import numpy as np
import pytest
import torch
from edge_worker import REPOSITORY, Way, Worker
from test_cli import run

from clip_export.bundle import LabelTexts, make_label_set
from clip_export.deployment import Deployment, DeploymentError, retry_after
from clip_export.label_file import read_lines
from clip_export.label_set import LabelSet, read_label_set, write_label_set
from clip_export.manifest import read_manifest
from clip_export.prompt_encoders import bundle_prompt_encoder

TINY = REPOSITORY / "public/models/tiny-64"
EXPORTER = REPOSITORY / "model-export"
KEY = "a-key-that-nobody-may-see"


@pytest.fixture(scope="module")
def cifar() -> LabelSet:
    return read_label_set(TINY / "labels/cifar-10.safetensors")


@pytest.fixture
def files(cifar: LabelSet, tmp_path: Path) -> list[Path]:
    """Two sets of tiny-64, of 10 labels and, to have something to cut, of 200."""
    large = read_label_set(TINY / "labels/imagenet-200.safetensors")
    paths = [tmp_path / "ten.safetensors", tmp_path / "many.safetensors"]
    for path, made in zip(paths, (cifar, large), strict=True):
        write_label_set(replace(made, name=path.stem), path)
    return paths


def stored(worker: Worker, path: Path) -> bytes:
    """What the Worker has of a pushed file."""
    made = read_label_set(path)
    pointer = worker.label_sets(f"labels/{made.revision}/{made.name}")
    if not pointer:
        return b""
    return worker.label_sets(f"labels/{made.revision}/{made.name}/{json.loads(pointer)['version']}")


def delete(worker: Worker, path: Path) -> None:
    httpx.delete(f"{worker.url}v1/label-sets/{path.stem}")


def test_sets_arrive_whole_and_once(worker: Worker, files: list[Path]) -> None:
    pushed = run("push", *files, "--url", worker.url)
    assert pushed.exit_code == 0, pushed.output
    assert "ten.safetensors: pushed: 10 labels for tiny-64, as 'ten'" in pushed.output
    for path in files:
        assert stored(worker, path) == path.read_bytes()
    again = run("push", *files, "--url", worker.url)
    assert again.exit_code == 0, again.output
    assert again.output.count("is there already") == 2
    for path in files:
        delete(worker, path)


BUSY = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 0\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
GONE = b""


def test_an_upload_that_breaks_off_is_tried_again(worker: Worker, files: list[Path]) -> None:
    """The list of sets is refused once, the set breaks off after 20,000 of its 213,000 bytes, then nothing answers."""
    many = files[1]
    waits: list[float] = []
    with Way(worker.port, [BUSY]) as way:
        Deployment(way.url, wait=waits.append).versions("tiny-64")
        assert (way.connections, waits) == (2, [0])
    waits.clear()
    with Way(worker.port, [20_000, GONE]) as way:
        deployment = Deployment(way.url, wait=waits.append)
        made = deployment.put("many", "tiny-64", many.read_bytes())
        assert (way.connections, waits) == (3, [1, 2])
    assert made["version"] == hashlib.sha256(many.read_bytes()).hexdigest()
    assert stored(worker, many) == many.read_bytes()
    delete(worker, many)


def test_a_connection_that_stays_broken(worker: Worker, files: list[Path]) -> None:
    """Nothing of the set is to be seen, and a later run does what is left."""
    waits: list[float] = []
    with Way(worker.port, [20_000] * 5) as way:
        deployment = Deployment(way.url, wait=waits.append)
        with pytest.raises(DeploymentError, match=r"^127\.0\.0\.1: .*, 5 times"):
            deployment.put("many", "tiny-64", files[1].read_bytes())
    assert waits == [1, 2, 4, 8]
    assert stored(worker, files[1]) == b""
    assert run("push", files[0], "--url", worker.url).exit_code == 0
    later = run("push", *files, "--url", worker.url)
    assert later.exit_code == 0, later.output
    assert "ten.safetensors: is there already" in later.output
    assert "many.safetensors: pushed" in later.output
    for path in files:
        delete(worker, path)


def test_one_that_fails_does_not_keep_the_others(
    worker: Worker, files: list[Path], cifar: LabelSet, tmp_path: Path
) -> None:
    bad = {
        "other": replace(cifar, name="other", revision="f" * 64),
        "cifar-10": cifar,
        "nobody": replace(cifar, name="nobody", model="nobody"),
    }
    paths = {name: tmp_path / f"{name}.safetensors" for name in bad}
    for name, made in bad.items():
        write_label_set(made, paths[name])
    (tmp_path / "junk.safetensors").write_bytes(b"junk")
    all_files = [*paths.values(), tmp_path / "junk.safetensors", files[0]]
    result = run("push", *all_files, "--url", worker.url, "--key", KEY)
    assert result.exit_code == 1
    lines = {line.partition(":")[0]: line for line in result.output.splitlines()}
    assert "failed: model_mismatch: The label set was made for" in lines["other.safetensors"]
    assert "What to do: make the set again from the bundle that is deployed" in lines["other.safetensors"]
    assert "cifar-10.safetensors" in lines
    assert "failed: model_not_found: There is no model" in lines["nobody.safetensors"]
    assert "is not a label set" in lines["junk.safetensors"]
    assert "ten.safetensors: pushed" in result.output
    assert "failed: 3 of 5 label sets did not arrive" in result.output
    assert KEY not in result.output
    delete(worker, files[0])


def test_a_built_in_set_is_not_replaced(worker: Worker, cifar: LabelSet, tmp_path: Path) -> None:
    write_label_set(replace(cifar, templates=["another {}"]), tmp_path / "cifar-10.safetensors")
    result = run("push", tmp_path / "cifar-10.safetensors", "--url", worker.url)
    assert result.exit_code == 1
    assert "label_set_read_only" in result.output
    assert "give it another name: clip-export labels" in result.output


def test_the_key_goes_in_the_header_and_only_there(files: list[Path]) -> None:
    """Over a connection that answers like a Worker behind a lock."""
    locked = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    with Way(0, [locked] * 2) as way:
        result = run("push", files[0], "--url", way.url)
        assert "401 Unauthorized What to do: give the deployment's key with --key or in EDGECLIP_KEY" in result.output
        deployment = Deployment(way.url, KEY)
        with pytest.raises(DeploymentError) as failure:
            deployment.versions("tiny-64")
        assert KEY not in str(failure.value)
        assert f"authorization: bearer {KEY}" in way.heard[1].lower()


@pytest.mark.parametrize("url", ["http://edgeclip.example.workers.dev", "ftp://localhost", "edgeclip.example", ""])
def test_a_key_is_not_sent_in_the_clear(files: list[Path], url: str) -> None:
    result = run("push", files[0], "--url", url, "--key", KEY)
    assert result.exit_code == 1
    assert "it must begin with https://" in result.output
    assert KEY not in result.output


def test_another_server_is_told_from_a_worker(files: list[Path]) -> None:
    page = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\n<html>"
    with Way(0, [page]) as way:
        result = run("push", files[0], "--url", way.url)
    assert result.exit_code == 1
    assert "not as an Edgeclip Worker does" in result.output


@pytest.mark.parametrize(
    ("said", "pause"),
    [("7", 7), ("3600", 60), ("Wed, 21 Oct 2015 07:28:00 GMT", 0), ("Wed, 21 Oct 2015 07:28:00 -0000", 0), ("soon", 3)],
)
def test_retry_after(said: str, pause: float) -> None:
    assert retry_after(httpx.Response(429, headers={"retry-after": said}), 3) == pause
    assert retry_after(httpx.Response(429), 3) == 3


CASES = [("imagenet-200", "a-photo-of-a"), ("cifar-10", "simple-7")]


@pytest.mark.parametrize(("labels", "templates"), CASES)
def test_the_pipeline_and_the_edge_agree(worker: Worker, tmp_path: Path, labels: str, templates: str) -> None:
    """The same labels and templates, embedded by `clip-export labels` and pushed, and by the Worker's own PUT."""
    texts = LabelTexts(
        "pipeline",
        read_lines(EXPORTER / f"label-sets/{labels}.txt"),
        read_lines(EXPORTER / f"templates/{templates}.txt"),
    )
    manifest = read_manifest(TINY)
    file = tmp_path / "pipeline.safetensors"
    write_label_set(make_label_set(manifest, texts, bundle_prompt_encoder(TINY, manifest, torch.device("cpu"))), file)
    assert run("push", file, "--url", worker.url).exit_code == 0
    own = {"labels": texts.labels, "templates": texts.templates}
    answer = httpx.put(f"{worker.url}v1/label-sets/edge", json=own, timeout=120)
    assert answer.status_code == 200, answer.text
    pipeline = read_label_set(file)
    assert stored(worker, file) == file.read_bytes()
    copy = tmp_path / "edge.safetensors"
    copy.write_bytes(worker.label_sets(f"labels/{manifest['revision']}/edge/{answer.json()['version']}"))
    edge = read_label_set(copy)
    assert (edge.labels, edge.templates) == (pipeline.labels, pipeline.templates)
    cosines = np.sum(pipeline.embeddings.astype(np.float64) * edge.embeddings, axis=1)
    print(f"\n{labels} x {templates}: {len(cosines)} labels, cosine {cosines.min():.7f} at worst")
    assert cosines.min() > 0.9999
    delete(worker, file)
    delete(worker, copy)
