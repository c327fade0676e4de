"""Gradients by cached embeddings are those of the whole batch."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional
from train_linear import LinearClip, gradients, pairs

from clip_export.train.losses import LOSSES
from clip_export.train.step import StepSettings


@pytest.mark.parametrize("micro_batch", [1, 4, 5, 16])
@pytest.mark.parametrize("loss", LOSSES)
def test_gradients_of_the_whole_batch(loss: str, micro_batch: int) -> None:
    model, batch = LinearClip(), pairs(16)
    whole = gradients(model, StepSettings(loss), *batch)
    cached = gradients(model, StepSettings(loss, micro_batch), *batch)
    assert whole.keys() == cached.keys()
    for name, gradient in whole.items():
        assert gradient.norm() > 1e-4 or name == "logit_scale", name
        torch.testing.assert_close(cached[name], gradient, rtol=1e-4, atol=1e-6)


def test_micro_batches_alone_would_give_others() -> None:
    """The test above can fail: contrast within micro-batches is another loss."""
    model, (pixels, ids) = LinearClip(), pairs(16)
    whole = gradients(model, StepSettings(), pixels, ids)
    parts = [gradients(model, StepSettings(), pixels[at : at + 4], ids[at : at + 4]) for at in range(0, 16, 4)]
    mean = torch.stack([part["text.1.weight"] for part in parts]).mean(dim=0)
    assert (mean - whole["text.1.weight"]).norm() > 0.05 * whole["text.1.weight"].norm()


def test_dropout_drops_the_same_twice() -> None:
    """The gradients are those of one graph whose micro-batches drew the same random numbers."""
    model, (pixels, ids) = LinearClip(dropout=0.5), pairs(16)
    trainee, settings = model.trainee(), StepSettings("sigmoid", micro_batch=4)
    torch.manual_seed(3)
    model.zero_grad()
    images = torch.cat([trainee.embed_images(part) for part in pixels.split(4)])
    texts = torch.cat([trainee.embed_texts(part) for part in ids.split(4)])
    after = torch.get_rng_state()
    logits = model.logit_scale.exp() * images @ texts.T + model.logit_bias
    (-functional.logsigmoid(logits * (2 * torch.eye(16) - 1)).sum() / 16).backward()
    expected = {name: value.grad.clone() for name, value in model.named_parameters()}
    torch.manual_seed(3)
    for name, gradient in gradients(model, settings, pixels, ids).items():
        torch.testing.assert_close(gradient, expected[name], rtol=1e-4, atol=1e-6)
    assert torch.equal(torch.get_rng_state(), after)


def test_batch_norms_see_each_micro_batch_once() -> None:
    once, cached, (pixels, ids) = LinearClip(norm=True), LinearClip(norm=True), pairs(8)
    for part in pixels.split(4):
        once.image(part)
    gradients(cached, StepSettings(micro_batch=4), pixels, ids)
    torch.testing.assert_close(cached.image[2].running_mean, once.image[2].running_mean)
    torch.testing.assert_close(cached.image[2].running_var, once.image[2].running_var)
    assert cached.image[2].momentum == once.image[2].momentum
