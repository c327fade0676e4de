"""The losses against open_clip's, values and gradients."""

from __future__ import annotations

import math

import pytest
import torch
from open_clip.loss import ClipLoss, SigLipLoss
from torch.nn import functional
from train_linear import CPU, LinearClip, pairs

from clip_export.train import losses
from clip_export.train.losses import LOSSES
from clip_export.train.optimiser import make_optimiser
from clip_export.train.ranks import Ranks
from clip_export.train.step import NotFinite, StepSettings, make_scaler, train_step

REFERENCES = {
    "infonce": lambda images, texts, scale, bias: ClipLoss()(images, texts, scale),
    "sigmoid": lambda images, texts, scale, bias: SigLipLoss()(images, texts, scale, bias),
}


def embeddings(count: int = 7) -> list[torch.Tensor]:
    """Images, texts, logit scale, logit bias; leaves."""
    random = torch.Generator().manual_seed(1)
    rows = [functional.normalize(torch.randn(count, 5, generator=random), dim=-1) for _ in range(2)]
    return [value.requires_grad_() for value in (*rows, torch.tensor(9.0), torch.tensor(-4.0))]


@pytest.mark.parametrize("chunk", [1024, 3])
@pytest.mark.parametrize("name", LOSSES)
def test_loss_and_gradients(name: str, chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(losses, "CHUNK", chunk)
    ours, theirs = embeddings(), embeddings()
    value, expected = LOSSES[name](*ours, Ranks()), REFERENCES[name](*theirs)
    assert value.item() == pytest.approx(expected.item(), rel=1e-6)
    value.backward()
    expected.backward()
    for mine, reference in zip(ours, theirs, strict=True):
        if reference.grad is not None:  # InfoNCE has no bias
            torch.testing.assert_close(mine.grad, reference.grad)


def test_sigmoid_keeps_no_logits_for_the_backward_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(losses, "CHUNK", 16)
    kept: list[torch.Size] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: kept.append(tensor.shape) or tensor, lambda x: x):
        losses.sigmoid(*embeddings(64), Ranks())
    assert kept
    assert max(math.prod(shape) for shape in kept) <= 64 * 5


@pytest.mark.parametrize(("name", "most"), [("infonce", 100), ("sigmoid", 150)])
def test_infonce_clips_its_logit_scale(name: str, most: float) -> None:
    model = LinearClip()
    model.logit_scale.data.fill_(math.log(150))
    train_step(
        model.trainee(), make_optimiser(model, 0), make_scaler(CPU, "float32"), StepSettings(name), *pairs(8), Ranks()
    )
    assert model.logit_scale.exp().item() == pytest.approx(most, rel=1e-5)


@pytest.mark.parametrize("where", ["loss", "gradient"])
def test_what_is_not_finite_changes_nothing(where: str) -> None:
    model = LinearClip()
    optimiser = make_optimiser(model, 0.2)
    for group in optimiser.param_groups:
        group["lr"] = 0.1
    pixels, ids = pairs(8)
    if where == "loss":
        pixels[0] = torch.nan
    else:
        model.image[1].bias.register_hook(lambda gradient: gradient * torch.inf)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(NotFinite, match="the loss is"):
        train_step(model.trainee(), optimiser, make_scaler(CPU, "float32"), StepSettings(), pixels, ids, Ranks())
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])


def test_gradients_are_clipped_together() -> None:
    model, settings = LinearClip(), StepSettings(clip_norm=1e-3)
    optimiser = make_optimiser(model, 0)
    measured = train_step(model.trainee(), optimiser, make_scaler(CPU, "float32"), settings, *pairs(8), Ranks())
    norm = torch.linalg.vector_norm(
        torch.cat([value.grad.flatten() for value in model.parameters() if value.grad is not None])
    )
    assert measured.gradient_norm > 0.01
    assert norm.item() == pytest.approx(1e-3, rel=1e-3)
