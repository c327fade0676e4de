"""Runs from pairs to a checkpoint that `export` takes: both losses learn, and what stops a run does not spoil it."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from test_cli import run

from clip_export.bundle_encoders import bundle_image_encoder, bundle_text_encoder
from clip_export.encoders import float_image_encoder, float_text_encoder
from clip_export.errors import ExportError
from clip_export.golden.saved_open_clip import save_open_clip
from clip_export.manifest import read_manifest
from clip_export.sources.source import load_source
from clip_export.train import loop
from clip_export.train.errors import TrainError
from clip_export.train.settings import TrainSettings
from clip_export.train.shapes import Scene, write_shapes
from clip_export.train.trained_model import load_model
from clip_export.verify import ORDINARY_TEXTS, noise

WIDTH = 32
TOWER = {"hidden_size": WIDTH, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}
HUGGING_FACE = {
    "projection_dim": WIDTH,
    "text_config": {**TOWER, "projection_dim": WIDTH, "bos_token_id": 49406, "eos_token_id": 49407},
    "vision_config": {**TOWER, "projection_dim": WIDTH, "image_size": 32, "patch_size": 8},
}
OPEN_CLIP = {
    "embed_dim": WIDTH,
    "vision_cfg": {"image_size": 32, "patch_size": 8, "width": WIDTH, "head_width": 16, "layers": 1},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": WIDTH, "heads": 2, "layers": 1},
}


class Heard:
    """A `Show` that keeps what was said, and sends this process a signal after a step if asked to."""

    def __init__(self, interrupt_after: int | None = None) -> None:
        self.said: list[str] = []
        self.steps: list[int] = []
        self.interrupt_after = interrupt_after

    def begin(self, done: int, steps: int) -> None: ...

    def step(self, done: int, loss: float, logit_scale: float, pairs_per_second: float) -> None:
        self.steps.append(done)
        if done == self.interrupt_after:
            os.kill(os.getpid(), signal.SIGINT)

    def say(self, text: str) -> None:
        self.said.append(text)


def few(scene: Scene) -> bool:
    """A smaller world: 8 colours, 6 shapes, 3 places."""
    return scene.size == "large" and scene.row == "middle"


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pairs") / "shapes"
    write_shapes(folder, 480, among=few)
    return folder


@pytest.fixture(scope="module")
def configs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder, stated = tmp_path_factory.mktemp("configs"), {"infonce": HUGGING_FACE, "sigmoid": OPEN_CLIP}
    for loss, config in stated.items():
        (folder / f"{loss}.json").write_text(json.dumps(config))
    return {loss: str(folder / f"{loss}.json") for loss in stated}


@pytest.fixture
def quick(shapes: Path, configs: dict[str, str], tmp_path: Path) -> TrainSettings:
    """Six steps."""
    pairs = str(shapes / "train.csv")
    return TrainSettings(pairs, tmp_path / "run", config=configs["sigmoid"], loss="sigmoid", steps=6, batch_size=8)


def weights(settings: TrainSettings) -> dict[str, torch.Tensor]:
    return load_source(str(settings.model)).model.state_dict()


def rows(settings: TrainSettings) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (settings.out / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("loss", ["infonce", "sigmoid"])
def test_captions_never_seen_are_found_and_the_model_exported(
    loss: str, shapes: Path, configs: dict[str, str], tmp_path: Path
) -> None:
    out, files = tmp_path / "run", ["--pairs", shapes / "train.csv", "--held-out", shapes / "held-out.csv"]
    how = ["--steps", 60, "--batch-size", 48, "--learning-rate", 0.004, "--crop", 1, "--micro-batch", 24]
    result = run("train", "--config", configs[loss], *files, "--out", out, *how, "--loss", loss, "--evaluate-every", 30)
    assert result.exit_code == 0, result.output
    measured = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    recalls = [row for row in measured if "image_to_text@5" in row]
    assert [(row["step"], row["images"], row["texts"]) for row in recalls] == [(0, 24, 24), (30, 24, 24), (60, 24, 24)]
    for way in ("image_to_text", "text_to_image"):  # a guess finds 4 % and 21 %
        assert recalls[0][f"{way}@5"] <= 0.4
        assert recalls[-1][f"{way}@5"] >= 0.6
        assert recalls[-1][f"{way}@1"] >= 0.15
    losses = [row["loss"] for row in measured if "loss" in row]
    assert losses[-1] < 0.75 * losses[0]
    assert "<svg" in (out / "curves.svg").read_text()

    bundle = tmp_path / "models/shapes"
    exported = run("export", out / "model", "--id", "shapes", "--out", bundle)
    assert exported.exit_code == 0, exported.output
    source, manifest = load_source(str(out / "model")), read_manifest(bundle)
    assert manifest["similarity"]["kind"] == {"infonce": "softmax", "sigmoid": "sigmoid"}[loss]
    pixels, texts = noise(32), [*ORDINARY_TEXTS, "a large red circle at the middle left"]
    for ours, theirs, inputs in (
        (bundle_image_encoder(bundle, manifest), float_image_encoder(source), pixels),
        (bundle_text_encoder(bundle, manifest), float_text_encoder(source), texts),
    ):
        assert (ours(inputs) * theirs(inputs)).sum(axis=1).min() > 0.999


def test_the_folder_holds_what_was_trained(quick: TrainSettings) -> None:
    assert loop.train(quick, Heard())
    trained = torch.load(quick.checkpoints / "step-00000006.pt", weights_only=True)["model"]
    for name, value in weights(quick).items():
        assert torch.equal(value, trained[name]), name
    assert rows(quick)[-1]["logit_bias"] == pytest.approx(float(trained["logit_bias"]), abs=1e-4)


def test_interrupted_and_continued_is_as_if_it_had_not_been(quick: TrainSettings, tmp_path: Path) -> None:
    """To the bit: dropout-like random numbers, crops, order, moments and averages."""
    quick = replace(quick, average=0.9, micro_batch=3, log_every=2, workers=3)
    assert loop.train(quick, Heard())
    again = replace(quick, out=tmp_path / "again", workers=1)
    stopped = Heard(interrupt_after=4)
    assert not loop.train(again, stopped)
    assert stopped.steps == [1, 2, 3, 4]
    assert "stopped after step 4 of 6; the same command goes on" in stopped.said
    assert not again.model.exists()
    continued = Heard()
    assert loop.train(again, continued)
    assert continued.steps == [5, 6]
    made = weights(again)  # which loads them
    for name, value in weights(quick).items():
        assert torch.equal(value, made[name]), name
    for key in ("step", "loss", "logit_scale"):
        assert [row[key] for row in rows(again)] == [row[key] for row in rows(quick)]


def test_a_finished_run_says_so(quick: TrainSettings) -> None:
    quick = replace(quick, steps=1)
    assert loop.train(quick, Heard())
    before, heard = (quick.model / "open_clip_model.safetensors").stat().st_mtime_ns, Heard()
    assert loop.train(quick, heard)
    assert heard.steps == []
    assert heard.said[0].startswith("this run is done: ")
    assert (quick.model / "open_clip_model.safetensors").stat().st_mtime_ns == before
    with pytest.raises(TrainError, match=r"with seed 0, now 1: give the same to go on with it, or another --out"):
        loop.train(replace(quick, seed=1), Heard())


def test_not_finite(quick: TrainSettings) -> None:
    """A learning rate that is far too high, and no clipping: the weights run off, and the last good are named."""
    wild = replace(quick, learning_rate=1e30, warmup=0, clip_norm=None, weight_decay=0.0, save_every=1, steps=8)
    with pytest.raises(TrainError, match=r"step \d: the loss is .*; the last good checkpoint is .*step-0000000\d\.pt"):
        loop.train(wild, Heard())
    assert not wild.model.exists()


def test_fine_tuning_from_folders(checkpoint: Path, quick: TrainSettings, tmp_path: Path) -> None:
    """The preprocessing is the checkpoint's, and --gradient-checkpointing changes nothing but memory."""
    shutil.copytree(checkpoint, tmp_path / "clip")
    stated = {"image_mean": [0.1, 0.2, 0.3], "image_std": [0.5] * 3, "resample": 2, "size": {"height": 32, "width": 32}}
    (tmp_path / "clip/preprocessor_config.json").write_text(json.dumps(stated))
    made = []
    for checkpointing in (False, True):
        tuned = replace(quick, source=str(tmp_path / "clip"), config=None, loss="infonce", steps=2)
        tuned = replace(tuned, out=tmp_path / str(checkpointing), gradient_checkpointing=checkpointing)
        assert loop.train(tuned, Heard())
        made.append(load_source(str(tuned.model)))
    before = load_source(str(tmp_path / "clip"))
    assert made[0].preprocessing == before.preprocessing
    for name, value in made[0].model.state_dict().items():
        torch.testing.assert_close(value, made[1].model.state_dict()[name])
    assert not torch.equal(made[0].model.text_projection.weight, before.model.text_projection.weight)


def test_the_loss_may_change_what_open_clip_scores_with(quick: TrainSettings, tmp_path: Path) -> None:
    assert loop.train(replace(quick, steps=1), Heard())
    tuned = replace(quick, source=str(quick.model), config=None, loss="infonce", steps=1, out=tmp_path / "softmax")
    assert loop.train(tuned, Heard())
    assert [load_source(str(each.model)).logit_bias is None for each in (quick, tuned)] == [False, True]


def test_broken_pairs_and_long_texts_are_reported(quick: TrainSettings, shapes: Path, tmp_path: Path) -> None:
    with (shapes / "train.csv").open() as file:
        listed = [(str(shapes / image), text) for image, text in list(csv.reader(file))[1:11]]
    (tmp_path / "half.png").write_bytes(Path(listed[0][0]).read_bytes()[:300])
    with (tmp_path / "pairs.csv").open("w", newline="") as file:
        long = (listed[0][0], "a red square " * 40)
        csv.writer(file).writerows([("image", "text"), *listed, long, ("half.png", "half"), ("none.png", "none")])
    heard, made = Heard(), replace(quick, pairs=str(tmp_path / "pairs.csv"), batch_size=4, steps=4)
    assert loop.train(made, heard)
    assert f"2 pairs could not be read and were left out: {made.out / 'skipped.tsv'}" in heard.said
    assert "1 texts of the first epoch were longer than 77 tokens and were cut" in heard.said
    with pytest.raises(TrainError, match="without --strict it is left out"):
        loop.train(replace(made, out=tmp_path / "strict", strict=True), Heard())


@pytest.mark.parametrize("kind", ["huggingface", "open_clip"])
def test_gradient_checkpointing_keeps_less(kind: str, checkpoint: Path, tmp_path: Path) -> None:
    name = str(checkpoint if kind == "huggingface" else save_open_clip(tmp_path / "open-clip"))
    kept = []
    for checkpointing in (False, True):
        model = load_model(name, None, "infonce", 8, checkpointing)
        model.source.model.train()
        sizes: list[int] = []
        with torch.autograd.graph.saved_tensors_hooks(lambda x, to=sizes: to.append(x.numel()) or x, lambda x: x):
            model.trainee.embed_images(torch.zeros(4, 3, 32, 32))
            model.trainee.embed_texts(model.pad([[49406, 320, 49407]] * 4))
        kept.append(sum(sizes))
    assert kept[1] < 0.5 * kept[0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"batch_size": 1}, "a batch of one pair makes no contrast"),
        ({"batch_size": 481}, "has 480 pairs, fewer than one batch of 481"),
        ({"steps": None}, "either --epochs or --steps"),
        ({"source": "x"}, "either a checkpoint to start from, or --config"),
        ({"precision": "float16"}, "float16 is for cuda"),
        ({"device": "cuda:9"}, "--device cuda:9: "),
        ({"config": "no-such-model"}, "open_clip has no model of this name"),
        ({"pairs": "missing-{0..3}.tar"}, "4 of 4 shards are not there"),
    ],
)
def test_what_cannot_be_trained(quick: TrainSettings, change: dict[str, Any], message: str) -> None:
    with pytest.raises(ExportError, match=message):
        loop.train(replace(quick, **change), Heard())
    assert not quick.model.exists()


@pytest.mark.parametrize(
    ("config", "loss", "message"),
    [
        ("{", "infonce", "no JSON"),
        ('{"width": 3}', "infonce", "neither vision_config"),
        (json.dumps(OPEN_CLIP | {"vision_cfg": {"layers": "two"}}), "infonce", "no model can be made of it"),
        (json.dumps(HUGGING_FACE), "sigmoid", "a CLIPModel has no logit_bias, so its loss is --loss infonce"),
    ],
)
def test_configurations_that_are_none(
    quick: TrainSettings, tmp_path: Path, config: str, loss: str, message: str
) -> None:
    (tmp_path / "config.json").write_text(config)
    with pytest.raises(TrainError, match=message):
        loop.train(replace(quick, config=str(tmp_path / "config.json"), loss=loss), Heard())


def test_shapes_keep_the_held_out_combinations_apart(shapes: Path) -> None:
    captions = {}
    for name in ("train", "held-out"):
        with (shapes / f"{name}.csv").open() as file:
            captions[name] = [row["text"] for row in csv.DictReader(file)]
    kinds = {name: {tuple(text.split()[2:4]) for text in texts} for name, texts in captions.items()}
    assert len(kinds["train"]) == 40
    assert len(kinds["held-out"]) == 8
    assert not kinds["train"] & kinds["held-out"]
    words = {word for text in captions["train"] for word in text.split()}
    assert {word for text in captions["held-out"] for word in text.split()} <= words
    with Image.open(shapes / "train/00000.png") as image:
        assert np.asarray(image).shape == (32, 32, 3)
