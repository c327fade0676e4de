"""The commands, from arguments to files and exit codes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from conftest import save_random_clip
from PIL import Image
from safetensors.numpy import load_file
from transformers import CLIPConfig, CLIPModel
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
    result = run("verify", bundle, save_random_clip(tmp_path / "other", seed=1))
    assert result.exit_code == 1
    assert "text, int8: worst cosine" in result.output


def test_verify_fails_for_a_checkpoint_of_another_size(bundle: Path, checkpoint: Path, tmp_path: Path) -> None:
    config = CLIPConfig.from_pretrained(checkpoint)
    dimensions = config.projection_dim
    for part in (config, config.text_config, config.vision_config):
        part.projection_dim = 2 * dimensions
    CLIPModel(config).save_pretrained(tmp_path / "wide")
    result = run("verify", bundle, tmp_path / "wide")
    assert result.exit_code == 1
    assert f"wide has {2 * dimensions} dimensions" in result.output
    assert "it was made from random-clip" in result.output


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


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder of 40 PNGs of noise, no square ones."""
    folder, random = tmp_path / "pictures", np.random.default_rng(0)
    folder.mkdir()
    for number in range(40):
        Image.fromarray(random.integers(0, 256, (40, 48, 3), dtype=np.uint8)).save(folder / f"{number:02}.png")
    return folder


def test_export_calibrated(checkpoint: Path, texts: dict[str, Path], pictures: Path, tmp_path: Path) -> None:
    out, sets = tmp_path / "models/x", ["--labels", f"two={texts['labels']}:{texts['two']}"]
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
