"""The commands, from arguments to files and exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from conftest import save_random_clip
from PIL import Image
from typer.testing import CliRunner, Result

from clip_export.cli import app
from clip_export.label_set import read_label_set
from clip_export.manifest import read_manifest

COMMANDS = [
    "export",
    "verify",
    "labels",
    "calibrate",
    "prototypes",
    "push",
    "publish",
    "compare-templates",
    "train",
    "golden",
]


def run(*arguments: str | Path) -> Result:
    """Without the edge's stage, which takes seconds: that is test_cli_edge.py's."""
    edge = ["--no-edge"] if arguments[0] in ("export", "verify") and "--help" not in arguments else []
    return CliRunner().invoke(app, [str(argument) for argument in [*arguments, *edge]], env={"COLUMNS": "200"})


@pytest.fixture
def texts(tmp_path: Path) -> dict[str, Path]:
    files = {
        "labels": "red\ngreen\nblue\n",
        "one": "a photo of a {}.\n",
        "two": "{}\nthe colour {}\n",
        "bad": "a photo\n",
    }
    paths = {name: tmp_path / f"{name}.txt" for name in files}
    for name, content in files.items():
        paths[name].write_text(content)
    return paths


@pytest.fixture
def photos(tmp_path: Path) -> list[str | Path]:
    """Options for three plain photos."""
    for number, colour in enumerate(["red", "green", "blue"]):
        Image.new("RGB", (48, 40), colour).save(tmp_path / f"{number}.jpg")
    (tmp_path / "colours.tsv").write_text("0.jpg\tred\n1.jpg\tgreen\n2.jpg\tblue\n")
    return ["--images", tmp_path / "colours.tsv", "--image-folder", tmp_path]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_an_example(command: str) -> None:
    result = run(command, "--help")
    assert result.exit_code == 0
    assert f"clip-export {command}" in result.output


def test_export_labels_and_verify(
    checkpoint: Path, texts: dict[str, Path], photos: list[str | Path], tmp_path: Path
) -> None:
    out, loose = tmp_path / "models" / "colours-1", ["--max-top1-loss", "1", "--runtime", "onnx"]
    sets = ["--labels", f"one={texts['labels']}:{texts['one']}", "--labels", f"two={texts['labels']}:{texts['two']}"]
    facts = ["--id", "colours-1", "--title", "Colours", "--license", "none", "--source-name", "example/colours"]
    result = run("export", checkpoint, *facts, "--out", out, *sets, *photos, *loose)
    assert result.exit_code == 0, result.output
    manifest = read_manifest(out)
    assert [entry["name"] for entry in manifest["labelSets"]] == ["one", "two"]
    assert (manifest["title"], manifest["source"]["name"]) == ("Colours", "example/colours")
    assert [entry["photos"] for entry in manifest["quality"]["accuracy"]] == ["colours"]
    assert not [path for path in out.parent.iterdir() if path != out]

    made = run(
        "labels",
        out,
        "--labels",
        texts["labels"],
        "--templates",
        texts["two"],
        "--name",
        "two",
        "--out",
        tmp_path / "two.st",
    )
    assert made.exit_code == 0, made.output
    assert (tmp_path / "two.st").read_bytes() == (out / "labels/two.safetensors").read_bytes()
    assert read_label_set(tmp_path / "two.st").revision == manifest["revision"]

    verified = run("verify", out, checkpoint)
    assert verified.exit_code == 0, verified.output
    assert "0.995" in verified.output
    assert read_manifest(out)["quality"]["parity"]["image"]["on"] == "noise"


def test_verify_fails_beyond_its_tolerance(bundle: Path, checkpoint: Path) -> None:
    before = (bundle / "model.json").read_bytes()
    result = run("verify", bundle, checkpoint, "--min-cosine", "0.99999999")
    assert result.exit_code == 1
    assert "failed: image, int8: worst cosine to PyTorch is 0.99" in result.output
    assert (bundle / "model.json").read_bytes() == before


def test_verify_fails_for_another_checkpoint(bundle: Path, tmp_path: Path) -> None:
    before = (bundle / "model.json").read_bytes()
    result = run("verify", bundle, save_random_clip(tmp_path / "other", seed=1))
    assert result.exit_code == 1
    assert "and random was made from random-clip, " in result.output
    assert (bundle / "model.json").read_bytes() == before


def test_verify_fails_for_a_damaged_bundle(bundle: Path, checkpoint: Path) -> None:
    (bundle / "image.onnx").write_bytes(b"")
    result = run("verify", bundle, checkpoint)
    assert result.exit_code == 1
    assert "image.onnx" in result.output


def test_export_beyond_its_tolerance_writes_nothing(checkpoint: Path, tmp_path: Path) -> None:
    result = run("export", checkpoint, "--id", "x", "--out", tmp_path / "models/x", "--min-cosine", "0.99999999")
    assert result.exit_code == 1
    assert not list((tmp_path / "models").iterdir())


def test_compare_templates_prints_the_best_first(
    checkpoint: Path, texts: dict[str, Path], photos: list[str | Path]
) -> None:
    files = ["--templates", texts["one"], "--templates", texts["two"]]
    result = run("compare-templates", checkpoint, "--labels", texts["labels"], *files, *photos)
    assert result.exit_code == 0, result.output
    rows = [line for line in result.output.splitlines() if "│ one" in line or "│ two" in line]
    top1 = [float(row.split("│")[3].strip().rstrip("%")) for row in rows]
    assert len(top1) == 2
    assert top1[0] >= top1[1]


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (["--labels", "no-files"], "NAME=labels.txt:templates.txt"),
        (["--labels", "x={labels}:{bad}"], "has no"),
        (["--labels", "Bad Name={labels}:{one}"], "must match"),
        (["--labels", "x=missing.txt:{one}"], "missing.txt"),
        (["--images", "{labels}"], "one folder to each list"),
    ],
)
def test_mistakes_end_with_a_message(
    checkpoint: Path, texts: dict[str, Path], tmp_path: Path, option: list[str], message: str
) -> None:
    filled = [part.format(**texts) for part in option]
    result = run("export", checkpoint, "--id", "x", "--out", tmp_path / "models/x", *filled)
    assert result.exit_code == 1, result.output
    assert message in result.output
    assert not (tmp_path / "models/x").exists()


def test_id_must_be_a_name(checkpoint: Path, tmp_path: Path) -> None:
    result = run("export", checkpoint, "--id", "Not A Name", "--out", tmp_path / "x")
    assert result.exit_code == 1
    assert "must match" in result.output
    assert not (tmp_path / "x").exists()


def test_manifest_is_plain_json(bundle: Path) -> None:
    text = (bundle / "model.json").read_text(encoding="utf-8")
    assert json.loads(text)["format"] == "edgeclip-model/1"
    assert not np.any([word in text for word in ("NaN", "Infinity")])


def test_layers_may_stay_float(checkpoint: Path, tmp_path: Path) -> None:
    out = tmp_path / "models/x"
    result = run("export", checkpoint, "--id", "x", "--out", out, "--runtime", "onnx", "--keep-float", "2")
    assert result.exit_code == 0, result.output
    for name in ("image", "text"):
        nodes = onnx.load(out / f"{name}.onnx").graph.node
        assert sum(node.op_type == "MatMulInteger" for node in nodes) == 2 * 6 + 1 - 2


@pytest.mark.parametrize(("options", "runtime"), [([], "engine"), (["--runtime", "onnx"], "onnx")])
def test_the_engine_unless_another_is_asked_for(
    checkpoint: Path, tmp_path: Path, options: list[str], runtime: str
) -> None:
    out = tmp_path / "models/x"
    result = run("export", checkpoint, "--id", "x", "--out", out, *options)
    assert result.exit_code == 0, result.output
    assert "cannot run" not in result.output
    manifest = read_manifest(out)
    assert (manifest["image"]["runtime"], manifest["text"]["runtime"]) == (runtime, runtime)


def test_onnx_for_what_the_engine_cannot_run(tmp_path: Path) -> None:
    checkpoint, out = save_random_clip(tmp_path / "odd", width=36), tmp_path / "models/x"
    asked = run("export", checkpoint, "--id", "x", "--out", out, "--runtime", "engine")
    assert asked.exit_code == 1
    assert "failed: image encoder: the width 36 is not a multiple of 8" in asked.output
    assert not out.exists()
    result = run("export", checkpoint, "--id", "x", "--out", out)
    assert result.exit_code == 0, result.output
    expected = "--runtime onnx, for the engine cannot run this: image encoder: the width 36 is not a multiple of 8"
    assert expected in result.output
    assert read_manifest(out)["image"]["runtime"] == "onnx"


def test_export_for_the_engine(
    checkpoint: Path, texts: dict[str, Path], photos: list[str | Path], tmp_path: Path
) -> None:
    out, sets = tmp_path / "models/x", ["--labels", f"one={texts['labels']}:{texts['one']}"]
    result = run("export", checkpoint, "--id", "x", "--out", out, "--runtime", "engine", *sets, *photos)
    assert result.exit_code == 0, result.output
    assert "engine weights" in result.output
    manifest = read_manifest(out)
    assert {path.name for path in out.iterdir() if path.suffix == ".safetensors"} == {
        "image.safetensors",
        "text.safetensors",
    }
    assert manifest["quality"]["parity"]["image"]["engineWeights"]["cosineWorst"] > 0.9995
    options = ["--labels", texts["labels"], "--templates", texts["one"], "--name", "one"]
    made = run("labels", out, *options, "--out", tmp_path / "one.st")
    assert made.exit_code == 0, made.output
    assert (tmp_path / "one.st").read_bytes() == (out / "labels/one.safetensors").read_bytes()
    assert run("verify", out, checkpoint).exit_code == 0
    strict = run("verify", out, checkpoint, "--min-cosine", "0.99999999")
    assert "image, engineWeights: worst cosine to PyTorch is 0.99" in strict.output


def test_engine_linears_cannot_stay_float(checkpoint: Path, tmp_path: Path) -> None:
    options = ["--out", tmp_path / "models/x", "--runtime", "engine", "--keep-float", "1"]
    result = run("export", checkpoint, "--id", "x", *options)
    assert result.exit_code == 1
    assert "--keep-float is for --runtime onnx" in result.output
