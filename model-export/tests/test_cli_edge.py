"""`export` and `verify` with the edge's stage, and with a report."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from test_edge import make_repository, needs_node
from typer.testing import CliRunner, Result

from clip_export.cli import app
from clip_export.manifest import read_manifest


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "200"})


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[str | Path]:
    """Options for 24 photos of noise; one more is named and missing."""
    folder, random = tmp_path_factory.mktemp("photos"), np.random.default_rng(0)
    for number in range(24):
        Image.fromarray(random.integers(0, 256, (40, 48, 3), dtype=np.uint8)).save(folder / f"{number}.png")
    lines = [f"{number}.png\t{['red', 'green', 'blue'][number % 3]}" for number in range(25)]
    (folder / "colours.tsv").write_text("\n".join(lines))
    return ["--images", folder / "colours.tsv", "--image-folder", folder, "--max-top1-loss", "1"]


@pytest.fixture(scope="module")
def exported(checkpoint: Path, photos: list[str | Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A bundle for the engine, its report beside it, and what the command said."""
    folder = tmp_path_factory.mktemp("models")
    (folder / "labels.txt").write_text("red\ngreen\nblue\n")
    (folder / "templates.txt").write_text("a photo of a {}.\n")
    sets = ["--labels", f"colours={folder / 'labels.txt'}:{folder / 'templates.txt'}"]
    options = ["--id", "x", "--out", folder / "x", "--report", folder / "new" / "x.html"]
    result = run("export", checkpoint, *options, *sets, *photos)
    assert result.exit_code == 0, result.output
    return folder / "x", result.output


@needs_node
def test_export_measures_at_the_edge_and_writes_a_report(exported: tuple[Path, str]) -> None:
    bundle, output = exported
    quality = read_manifest(bundle)["quality"]
    assert "at the edge" in output
    assert "colours: 1 of 25 photos left out: 24.png (missing)" in output
    for tower in ("image", "text"):
        assert quality["parity"][tower]["edge"]["cosineWorst"] > 0.999
    (entry,) = quality["accuracy"]
    assert (entry["count"], entry["leftOut"]) == (24, 1)
    assert entry["edge"]["top1"] == pytest.approx(entry["float"]["top1"], abs=0.1)
    assert entry["calibration"]["of"] == "edge"
    assert (entry["calibration"]["fittedOn"], entry["calibration"]["judgedOn"]) == (12, 12)
    page = (bundle.parent / "new" / "x.html").read_text(encoding="utf-8")
    assert f"{100 * entry['edge']['top1']:.2f} %" in page
    assert "Within the tolerance" in page


def test_a_report_beyond_the_tolerance(exported: tuple[Path, str], checkpoint: Path, tmp_path: Path) -> None:
    bundle, report = exported[0], tmp_path / "x.html"
    before = (bundle / "model.json").read_bytes()
    options = ["--min-cosine", "0.99999999", "--no-edge", "--report", report]
    result = run("verify", bundle, checkpoint, *options)
    assert result.exit_code == 1
    assert "failed: image, engineWeights: worst cosine" in result.output
    page = report.read_text(encoding="utf-8")
    assert "Beyond the tolerance." in page
    assert "image, engineWeights: worst cosine to PyTorch is 0.99" in page
    assert (bundle / "model.json").read_bytes() == before


def test_strict(exported: tuple[Path, str], checkpoint: Path, photos: list[str | Path]) -> None:
    result = run("verify", exported[0], checkpoint, *photos, "--no-edge", "--strict")
    assert result.exit_code == 1
    assert "24.png: cannot be read as a picture: missing" in result.output


def test_without_node_it_says_that_the_edge_was_not_measured(
    exported: tuple[Path, str], checkpoint: Path, tmp_path: Path
) -> None:
    bundle = make_repository(tmp_path) / "public/models/x"
    shutil.copytree(exported[0], bundle)
    result = run("verify", bundle, checkpoint, "--report", tmp_path / "x.html")
    assert result.exit_code == 0, result.output
    assert "WARNING: nothing was measured at the edge. the packages of" in result.output
    assert "edge" not in json.dumps(read_manifest(bundle)["quality"])
    assert "Not measured at the edge." in (tmp_path / "x.html").read_text(encoding="utf-8")
