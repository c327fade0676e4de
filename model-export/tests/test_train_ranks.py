"""Two processes with gloo against one with the batch of both: gradients and weights."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
import torch
import torch.multiprocessing as multiprocessing
from torch import Tensor
from train_linear import CPU, LinearClip, gradients, pairs, trained

from clip_export.train import losses
from clip_export.train.checkpoint import Progress, State, load_checkpoint, save_checkpoint
from clip_export.train.errors import TrainError
from clip_export.train.gather import average_gradients, gather
from clip_export.train.losses import LOSSES
from clip_export.train.optimiser import make_optimiser
from clip_export.train.pairs import Position
from clip_export.train.ranks import Ranks, joined
from clip_export.train.step import StepSettings, backward, make_scaler

COUNT, STEPS = 6, 5
"""pairs of each process"""
CASES = [(loss, micro) for loss in LOSSES for micro in (None, 4)]


def in_one_of_two(rank: int, port: int, folder: str) -> None:
    """What each process does: every case, and what it came to in a file."""
    os.environ.update(RANK=str(rank), WORLD_SIZE="2", MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    torch.set_num_threads(1)
    losses.CHUNK = 5  # no divisor of the batch
    with joined(CPU) as ranks:
        found = {}
        for loss, micro in CASES:
            model, settings = LinearClip(), StepSettings(loss, micro)
            parts = [part[rank * COUNT :][:COUNT] for part in pairs(2 * COUNT)]
            share = backward(model.trainee(), settings, lambda value: value, *parts, ranks)
            average_gradients(model.parameters(), ranks)
            found[loss, micro] = {
                "loss": ranks.sum(share) / 2,
                "gradients": {name: p.grad for name, p in model.named_parameters() if p.grad is not None},
                "weights": trained(LinearClip(), settings, ranks, STEPS, COUNT),
            }
        found["gathered"] = gather(torch.full((2, 3), float(rank)), ranks)
        found["collected"] = ranks.collect({"rank": rank})
        shared = torch.full((2,), float(rank + 5))
        ranks.share([shared])
        found["shared"] = shared
        found["resumed"] = saved_and_loaded(Path(folder) / "checkpoints", ranks)
    torch.save(found, Path(folder) / f"{rank}.pt")


def saved_and_loaded(folder: Path, ranks: Ranks) -> dict:
    """This process's position and next random number, as they were saved and as they come back."""
    torch.manual_seed(ranks.rank)
    model = LinearClip(seed=ranks.rank)
    torch.manual_seed(ranks.rank)
    state = State(model, make_optimiser(model, 0.2), make_scaler(CPU, "float32"), None, CPU)
    path = save_checkpoint(folder, state, Progress(3, Position(0, 10 + ranks.rank), ranks.rank), ranks, keep=2)
    expected = torch.rand(1)
    progress = load_checkpoint(path, state, ranks)
    with pytest.raises(TrainError, match="is of 2 processes, now there are 1"):
        load_checkpoint(path, state, Ranks())
    return {
        "drawn": progress.position.drawn,
        "random": torch.rand(1),
        "expected": expected,
        "weight": model.text[1].weight.detach(),
    }


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[dict]:
    """Of both processes."""
    folder = tmp_path_factory.mktemp("ranks")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = multiprocessing.get_context("forkserver")  # imports once what both need; a plain fork may come to harm
    server.set_forkserver_preload(["torch", "torch._dynamo", "clip_export.train.step", "clip_export.train.checkpoint"])
    multiprocessing.start_processes(in_one_of_two, (port, str(folder)), nprocs=2, start_method="forkserver")
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in (0, 1)]


@pytest.mark.parametrize(("loss", "micro"), CASES)
def test_gradients_of_two_processes(found: list[dict], loss: str, micro: int | None) -> None:
    model, batch = LinearClip(), pairs(2 * COUNT)
    expected = gradients(model, StepSettings(loss), *batch)
    value = backward(model.trainee(), StepSettings(loss), lambda loss: loss, *batch, Ranks())
    for of in found:
        assert of[loss, micro]["loss"].item() == pytest.approx(value.item(), rel=1e-6)
        assert of[loss, micro]["gradients"].keys() == expected.keys()
        all_close(of[loss, micro]["gradients"], expected)


@pytest.mark.parametrize(("loss", "micro"), CASES)
def test_weights_after_some_steps(found: list[dict], loss: str, micro: int | None) -> None:
    expected, before = trained(LinearClip(), StepSettings(loss), Ranks(), STEPS, 2 * COUNT), LinearClip()
    for of in found:
        all_close(of[loss, micro]["weights"], expected, tolerance=1e-5)
    assert (expected["text.1.weight"] - before.text[1].weight).abs().max() > 0.01
    for name, value in found[0][loss, micro]["weights"].items():  # and both are the same to the bit
        assert torch.equal(value, found[1][loss, micro]["weights"][name])


def test_one_process_alone_would_give_others(found: list[dict]) -> None:
    """The tests above can fail: without the other's embeddings the gradients are not those."""
    half = gradients(LinearClip(), StepSettings(), *pairs(COUNT))["text.1.weight"]
    both = found[0]["infonce", None]["gradients"]["text.1.weight"]
    assert (half - both).norm() > 0.1 * both.norm()


def test_what_processes_exchange(found: list[dict]) -> None:
    for of in found:
        assert of["gathered"].tolist() == [[0.0] * 3] * 2 + [[1.0] * 3] * 2
        assert of["collected"] == [{"rank": 0}, {"rank": 1}]
        assert of["shared"].tolist() == [5.0, 5.0]


def test_a_checkpoint_has_what_each_process_needs(found: list[dict]) -> None:
    resumed = [of["resumed"] for of in found]
    assert [of["drawn"] for of in resumed] == [10, 11]
    for of in resumed:
        assert torch.equal(of["random"], of["expected"])
        assert torch.equal(of["weight"], LinearClip(seed=0).text[1].weight)  # the first's
    assert not torch.equal(resumed[0]["random"], resumed[1]["random"])


def all_close(ours: dict[str, Tensor], expected: dict[str, Tensor], tolerance: float = 1e-6) -> None:
    for name, value in expected.items():
        torch.testing.assert_close(
            ours[name], value, rtol=1e-4, atol=tolerance, msg=lambda text, name=name: f"{name}: {text}"
        )
