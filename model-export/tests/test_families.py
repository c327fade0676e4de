"""The families' checkpoints: their weights tell pictures and texts apart, and what int8 makes of a ResNet's."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from open_clip import create_model
from PIL import Image
from torch import nn

from clip_export.bundle import BundleFacts, write_bundle
from clip_export.bundle_encoders import EngineEncoders, bundle_image_encoder
from clip_export.families.__main__ import ALIKE, FAMILIES, TEXTS, export, reference_tensors
from clip_export.families.open_clip_families import RESNETS_LEAST
from clip_export.sources.source import load_source

SAMPLES = sorted((Path(__file__).parents[2] / "samples").glob("*.[jp][pn]g"))
RESNET = next(family for family in FAMILIES if family.id == "resnet")


def test_ids_are_told_apart() -> None:
    assert len({family.id for family in FAMILIES}) == len(FAMILIES)


def test_embeddings_that_are_alike_are_refused(tmp_path: Path) -> None:
    """As of a picture that is there twice."""
    RESNET.save(tmp_path / "resnet")
    reference = RESNET.load(tmp_path / "resnet")
    tokens = reference.token_ids(TEXTS)
    rows = reference_tensors(reference, SAMPLES, tokens)["images"]
    assert (rows @ rows.T)[np.triu_indices(len(rows), 1)].max() < ALIKE
    with pytest.raises(ValueError, match="two images have a cosine of 1"):
        reference_tensors(reference, [SAMPLES[0], SAMPLES[0]], tokens)


def test_what_a_runtime_cannot_run_is_said(tmp_path: Path) -> None:
    fastvit = next(family for family in FAMILIES if family.id == "mobileclip-s")
    fastvit.save(tmp_path / "checkpoint")
    refused = export(fastvit, tmp_path / "checkpoint", "engine", tmp_path / "models")
    assert "FastVit" in refused["refused"]
    assert not (tmp_path / "models/mobileclip-s-engine").exists()


def test_a_resnets_error_is_its_rounded_weights(tmp_path: Path) -> None:
    checkpoint = tmp_path / "resnet"
    RESNET.save(checkpoint)
    model = create_model(f"local-dir:{checkpoint}").eval()
    pixels = np.stack([RESNET.load(checkpoint).pixel_values(Image.open(photo)) for photo in SAMPLES])
    with torch.inference_mode():
        exact, rounded = (
            made.encode_image(torch.from_numpy(pixels), normalize=True) for made in (model, with_rounded_weights(model))
        )
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    source = load_source(str(checkpoint), image_only=True)
    manifest = write_bundle(bundle, source, EngineEncoders(source), BundleFacts("x", "x", "none"))
    engine = bundle_image_encoder(bundle, manifest)(pixels)
    assert RESNETS_LEAST < (exact * rounded).sum(1).min() < 0.999
    assert (rounded.numpy() * engine).sum(1).min() > 0.9999


def with_rounded_weights(model: nn.Module) -> nn.Module:
    """Every output channel's weights at 127 steps of its largest."""
    model = copy.deepcopy(model)
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            steps = module.weight.detach().abs().flatten(1).amax(1) / 127
            steps = steps.reshape(-1, *[1] * (module.weight.dim() - 1))
            module.weight.data = (module.weight.data / steps).round() * steps
    return model
