"""`export --calibrate`, from arguments to files and exit codes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import save_random_clip
from PIL import Image
from safetensors.numpy import load_file
from test_cli import run

from clip_export.manifest import read_manifest


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder of 40 PNGs of noise, no square ones."""
    folder, random = tmp_path / "pictures", np.random.default_rng(0)
    folder.mkdir()
    for number in range(40):
        Image.fromarray(random.integers(0, 256, (40, 48, 3), dtype=np.uint8)).save(folder / f"{number:02}.png")
    return folder


def test_export_calibrated(checkpoint: Path, pictures: Path, tmp_path: Path) -> None:
    out, labels = tmp_path / "models/x", tmp_path / "labels.txt"
    labels.write_text("red\ngreen\nblue\n")
    sets = ["--labels", f"colours={labels}"]
    (pictures / ".DS_Store").write_bytes(b"no picture, but hidden")
    result = run("export", checkpoint, "--id", "x", "--out", out, "--calibrate", pictures, *sets)
    assert result.exit_code == 0, result.output
    manifest = read_manifest(out)
    for tower, apart in (("image", "10 images kept apart"), ("text", "texts kept apart")):
        fast = manifest[tower]["architecture"]["fast"]
        assert fast
        (line,) = [row for row in result.output.splitlines() if row.startswith(f"{tower} encoder: {len(fast)} of 8 ")]
        assert line.endswith(apart)
        starts = [name[:-6] for name in load_file(out / f"{tower}.safetensors") if name.endswith(".start")]
        assert sorted(starts) == fast
        assert manifest["quality"]["parity"][tower]["engineWeights"]["cosineMean"] > 0.9999
    verified = run("verify", out, checkpoint)
    assert verified.exit_code == 0, verified.output


def test_parity_is_what_calibration_keeps(checkpoint: Path, pictures: Path, tmp_path: Path) -> None:
    fast = []
    for parity in ("0.999", "0.99999"):
        out = tmp_path / parity
        options = ["--calibrate", pictures, "--parity", parity]
        result = run("export", checkpoint, "--id", "x", "--out", out, *options)
        assert result.exit_code == 0, result.output
        manifest = read_manifest(out)
        fast.append(sum(len(manifest[tower]["architecture"]["fast"]) for tower in ("image", "text")))
    assert fast[0] > fast[1]
    assert "(--parity 0.99999 is not reached)" in result.output


@pytest.mark.parametrize(("parity", "allowed"), [("0.999", "0.995"), ("0.9999", "0.999")])
def test_no_more_is_asked_of_a_bundle_than_it_was_calibrated_for(
    checkpoint: Path, pictures: Path, tmp_path: Path, parity: str, allowed: str
) -> None:
    out = tmp_path / "x"
    result = run("export", checkpoint, "--id", "x", "--out", out, "--calibrate", pictures, "--parity", parity)
    assert result.exit_code == 0, result.output
    assert {row.split("│")[-2].strip() for row in result.output.splitlines() if "engine weights │" in row} == {allowed}


def test_calibration_needs_pictures(checkpoint: Path, pictures: Path, tmp_path: Path) -> None:
    for number in range(31, 40):
        (pictures / f"{number}.png").unlink()
    (pictures / ".hidden").write_bytes(b"")
    (pictures / "more").mkdir()
    out = tmp_path / "models/x"
    result = run("export", checkpoint, "--id", "x", "--out", out, "--calibrate", pictures)
    assert result.exit_code == 1
    assert f"failed: --calibrate {pictures}: 31 pictures, at least 32 are needed" in result.output
    assert not out.exists()


def empty(picture: bytes) -> bytes:
    return b""


def text(picture: bytes) -> bytes:
    return b"my pictures"


def half(picture: bytes) -> bytes:
    return picture[: len(picture) // 2]


def damaged(picture: bytes) -> bytes:
    return picture[:60] + b"\xff" * 200 + picture[260:]


@pytest.mark.parametrize("spoil", [empty, text, half, damaged])
def test_calibration_names_what_is_no_picture(
    checkpoint: Path, pictures: Path, tmp_path: Path, spoil: Callable[[bytes], bytes]
) -> None:
    spoilt, out = pictures / "17.png", tmp_path / "models/x"
    spoilt.write_bytes(spoil(spoilt.read_bytes()))
    result = run("export", checkpoint, "--id", "x", "--out", out, "--calibrate", pictures, "--strict")
    assert result.exit_code == 1
    assert f"failed: {spoilt}: cannot be read as a picture: " in result.output
    assert not out.exists()


def test_calibration_leaves_out_what_is_no_picture(checkpoint: Path, pictures: Path, tmp_path: Path) -> None:
    (pictures / "17.png").write_bytes(b"my pictures")
    result = run("export", checkpoint, "--id", "x", "--out", tmp_path / "x", "--calibrate", pictures)
    assert result.exit_code == 0, result.output
    assert "calibration: 1 of 40 photos left out: 17.png (cannot identify image file" in result.output
    for number in range(9):
        (pictures / f"{number:02}.png").write_bytes(b"")
    few = run("export", checkpoint, "--id", "x", "--out", tmp_path / "y", "--calibrate", pictures)
    assert few.exit_code == 1
    assert "30 pictures, at least 32 are needed" in few.output


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--runtime", "onnx", "--calibrate", "{pictures}"], "--calibrate is for --runtime engine"),
        (["--parity", "0.999"], "--parity is what --calibrate keeps"),
    ],
)
def test_calibration_is_the_engines(
    checkpoint: Path, pictures: Path, tmp_path: Path, options: list[str], message: str
) -> None:
    filled = [part.format(pictures=pictures) for part in options]
    result = run("export", checkpoint, "--id", "x", "--out", tmp_path / "models/x", *filled)
    assert result.exit_code == 1
    assert f"failed: {message}" in result.output
    assert not (tmp_path / "models/x").exists()


def test_calibration_of_what_the_engine_cannot_run(pictures: Path, tmp_path: Path) -> None:
    checkpoint, out = save_random_clip(tmp_path / "odd", width=36), tmp_path / "models/x"
    result = run("export", checkpoint, "--id", "x", "--out", out, "--calibrate", pictures)
    assert result.exit_code == 1
    assert "the width 36 is not a multiple of 8" in result.output
    assert "failed: --calibrate is for --runtime engine" in result.output
    assert not out.exists()


@pytest.mark.parametrize("parity", ["0.5", "1", "nan", "much"])
def test_parity_has_a_range(checkpoint: Path, pictures: Path, tmp_path: Path, parity: str) -> None:
    options = ["--calibrate", pictures, "--parity", parity]
    result = run("export", checkpoint, "--id", "x", "--out", tmp_path / "x", *options)
    assert result.exit_code == 2
    assert "parity" in result.output
