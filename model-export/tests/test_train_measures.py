"""Recall, the learning rate, what decays, the moving average: against the reference or by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from open_clip_train.scheduler import cosine_lr
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from train_linear import LinearClip, pairs
from transformers import CLIPModel

from clip_export.sources.source import Source
from clip_export.train.optimiser import MovingAverage, make_optimiser
from clip_export.train.retrieval import retrieval_recall
from clip_export.train.schedule import learning_rate


def unit_rows(count: int, seed: int) -> np.ndarray:
    rows = np.random.default_rng(seed).standard_normal((count, 6))
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.mark.parametrize("each", [1, 3])
def test_recall_by_sorting(each: int) -> None:
    """`each`: texts of an image."""
    images, texts = np.repeat(unit_rows(20, 0), each, axis=0), unit_rows(20 * each, 1)
    keys = np.repeat(np.arange(20), each)
    recall = retrieval_recall(images, texts, keys.tolist(), [f"text {n}" for n in range(20 * each)])
    assert (recall.images, recall.texts) == (20, 20 * each)
    for k in (1, 5):
        nearest = [np.argsort(-(images[image * each] @ texts.T))[:k] for image in range(20)]
        found = [image in keys[near] for image, near in enumerate(nearest)]
        assert recall.image_to_text[k] == pytest.approx(np.mean(found))
        found = [keys[text] in np.argsort(-(texts[text] @ images[::each].T))[:k] for text in range(20 * each)]
        assert recall.text_to_image[k] == pytest.approx(np.mean(found))


def test_a_text_of_several_images() -> None:
    """As with labels: any of its images is right."""
    images = np.array([[1.0, 0], [0.9, 0.1], [0, 1]])
    recall = retrieval_recall(images, np.array([[1.0, 0], [1, 0], [0, 1]]), [0, 1, 2], ["cat", "cat", "dog"])
    assert (recall.images, recall.texts) == (3, 2)
    assert recall.image_to_text[1] == recall.text_to_image[1] == 1


@pytest.mark.parametrize("value", [1.0, np.nan])
def test_a_model_that_embeds_all_alike_finds_nothing(value: float) -> None:
    rows = np.full((10, 4), value)
    recall = retrieval_recall(rows, rows, list(range(10)), list(range(10)))
    assert recall.image_to_text == recall.text_to_image == {1: 0.0, 5: 0.0}


@pytest.mark.parametrize("warmup", [0, 7])
def test_learning_rate_is_open_clips(warmup: int) -> None:
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))])
    schedule = cosine_lr(optimiser, 0.3, warmup, 50)
    for step in range(50):
        schedule(step)
        assert learning_rate(step, 50, warmup, 0.3) == pytest.approx(optimiser.param_groups[0]["lr"])


def test_matrices_decay_and_nothing_else(source: Source) -> None:
    assert isinstance(source.model, CLIPModel)
    decaying, others = make_optimiser(source.model, 0.2).param_groups
    assert (decaying["weight_decay"], others["weight_decay"]) == (0.2, 0)
    names = {id(parameter): name for name, parameter in source.model.named_parameters()}
    assert len(decaying["params"]) + len(others["params"]) == len(names)
    kept = {names[id(parameter)] for parameter in others["params"]}
    assert {name for name in names.values() if "norm" in name or "layrnorm" in name or name.endswith("bias")} <= kept
    assert "logit_scale" in kept
    assert all(names[id(parameter)].endswith(("weight", "embedding")) for parameter in decaying["params"])


def test_moving_average_is_pytorchs() -> None:
    model = LinearClip()
    ours, theirs = MovingAverage(model, 0.9), AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.9))
    theirs.update_parameters(model)  # PyTorch's takes the first weights as they are
    for step in range(100, 104):  # late enough for the decay to be what was asked for
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.randn_like(parameter))
        ours.update(step)
        theirs.update_parameters(model)
    now = {name: value.detach().clone() for name, value in model.named_parameters()}
    with ours.in_place():
        for name, value in theirs.module.named_parameters():
            torch.testing.assert_close(dict(model.named_parameters())[name], value)
    for name, value in model.named_parameters():
        assert torch.equal(value, now[name])


def test_moving_average_forgets_its_beginning() -> None:
    model = LinearClip()
    average = MovingAverage(model, 0.9999)
    with torch.no_grad():
        model.text[1].weight.fill_(1)
    for step in range(60):
        average.update(step)
    assert (average.averages["text.1.weight"] - 1).abs().max() < 1e-3


def test_linear_clip_has_what_the_tests_need() -> None:
    trainee = LinearClip().trainee()
    pixels, ids = pairs(3)
    for rows in (trainee.embed_images(pixels), trainee.embed_texts(ids)):
        assert rows.shape == (3, 8)
        torch.testing.assert_close(rows.norm(dim=1), torch.ones(3))
