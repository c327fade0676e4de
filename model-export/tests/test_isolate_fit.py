"""Whether bundles fit an isolate. What the engine claims is compared with engine/memory.py in test/engine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from test_cli import run

from clip_export import isolate_fit
from clip_export.engine.memory import file_bytes
from clip_export.golden.engine_memory import golden_memory, models
from clip_export.isolate_fit import MEBI, Fit, FitError, check_bundle, check_encoders, fit_lines, fit_of
from clip_export.manifest import read_manifest

REPOSITORY = Path(__file__).parents[2]
TINY = REPOSITORY / "public/models/tiny-64"


@pytest.fixture(scope="module")
def tiny() -> dict[str, Any]:
    return read_manifest(TINY)


def test_committed_predictions_are_ours() -> None:
    committed = json.loads((REPOSITORY / "test/fixtures/golden/engine-memory.json").read_text(encoding="ascii"))
    assert committed == golden_memory(), "regenerate test/fixtures"


@pytest.mark.parametrize("name", ["image", "text"])
def test_a_real_file_is_no_longer_than_predicted(tiny: dict[str, Any], name: str) -> None:
    sizes = models()[f"tiny-64 {name}"]
    real = sum(entry["bytes"] for entry in tiny[name]["files"])
    predicted = file_bytes(sizes, fast=bool(tiny[name]["architecture"]["fast"]))
    assert real <= predicted < 1.02 * real


def test_the_built_in_model_fits(tiny: dict[str, Any]) -> None:
    fit = fit_of(tiny)
    assert {name: round(taken / MEBI, 2) for name, taken in fit.encoders.items()} == {"image": 10.31, "text": 17.31}
    (line,) = fit_lines(fit)
    assert "image encoder 10.3 MiB and text encoder 17.3 MiB, of the 112.0 MiB" in line


def test_onnxruntime_is_there_once() -> None:
    assert Fit("onnx", {"image": 40 * MEBI, "text": 30 * MEBI}).together == 60 * MEBI
    assert Fit("engine", {"image": 40 * MEBI, "text": 30 * MEBI}).together == 70 * MEBI


def test_encoders_that_fit_one_by_one_are_told_of() -> None:
    fit = Fit("engine", {"image": 89 * MEBI, "text": 68 * MEBI})
    check_encoders(fit)
    assert "not enough for both" in fit_lines(fit)[1]


@pytest.mark.parametrize(
    ("fit", "said", "not_said"),
    [
        (Fit("engine", {"image": 301 * MEBI}), ["the image encoder takes 301.0 MiB", "smaller model"], "--image-only"),
        (
            Fit("engine", {"image": 20 * MEBI, "text": 128 * MEBI}),
            ["text encoder takes 128", "--image-only"],
            "image e",
        ),
        (Fit("onnx", {"image": 113 * MEBI}), ["an isolate has 112.0 MiB", "--runtime engine"], "--image-only"),
    ],
)
def test_what_does_not_fit_is_refused_with_what_to_do(fit: Fit, said: list[str], not_said: str) -> None:
    with pytest.raises(FitError) as failure:
        check_encoders(fit)
    message = str(failure.value)
    assert all(words in message for words in [*said, "--allow-too-large"])
    assert not_said not in message


def test_a_bundle_is_judged_by_its_files(tiny: dict[str, Any]) -> None:
    part = {**tiny["image"]["files"][0], "bytes": 56 * MEBI}
    large = {**tiny, "image": {**tiny["image"], "files": [part, part]}}
    with pytest.raises(FitError, match=r"the image encoder takes 112\.6 MiB"):
        check_bundle(Console(quiet=True), large)
    check_bundle(Console(quiet=True), large, allow_too_large=True)


@pytest.fixture
def small_isolate(monkeypatch: pytest.MonkeyPatch) -> None:
    """With room for the image encoder of `checkpoint`; its table of 49,408 tokens takes more."""
    monkeypatch.setattr(isolate_fit, "ISOLATE_BYTES", MEBI)


@pytest.mark.usefixtures("small_isolate")
def test_export_refuses_before_the_work(checkpoint: Path, tmp_path: Path) -> None:
    out = tmp_path / "models/x"
    result = run("export", checkpoint, "--id", "x", "--out", out)
    assert result.exit_code == 1
    assert "failed: the text encoder takes" in result.output
    assert "engine weights" not in result.output
    assert not list(out.parent.iterdir())


@pytest.mark.usefixtures("small_isolate")
@pytest.mark.parametrize("option", ["--image-only", "--allow-too-large"])
def test_what_the_refusal_offers_works(checkpoint: Path, tmp_path: Path, option: str) -> None:
    result = run("export", checkpoint, "--id", "x", "--out", tmp_path / "x", option)
    assert result.exit_code == 0, result.output
    assert "memory in the Worker: image encoder 0." in result.output
