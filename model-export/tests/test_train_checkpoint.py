"""Training checkpoints: whole or not at all, and what happens to the older ones."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from train_linear import CPU, LinearClip, pairs

from clip_export.train.checkpoint import Progress, State, checkpoints, load_checkpoint, save_checkpoint
from clip_export.train.errors import TrainError
from clip_export.train.optimiser import MovingAverage, make_optimiser
from clip_export.train.pairs import Position
from clip_export.train.ranks import Ranks
from clip_export.train.step import StepSettings, make_scaler, train_step


def state(seed: int = 0) -> State:
    model = LinearClip(seed, dropout=0.5)
    return State(model, make_optimiser(model, 0.2), make_scaler(CPU, "float32"), MovingAverage(model, 0.9), CPU)


def steps(of: State, numbers: range) -> list[torch.Tensor]:
    """The weights and averages after them."""
    for step in numbers:
        for group in of.optimiser.param_groups:
            group["lr"] = 0.01
        train_step(of.model.trainee(), of.optimiser, of.scaler, StepSettings("sigmoid", 3), *pairs(8, step), Ranks())
        of.average.update(step)
    return [value.detach().clone() for value in (*of.model.parameters(), *of.average.averages.values())]


def save(folder: Path, of: State, step: int, keep: int = 2) -> Path:
    return save_checkpoint(folder, of, Progress(step, Position(1, 7), 3), Ranks(), keep)


def test_what_is_restored_goes_on_to_the_bit(tmp_path: Path) -> None:
    whole = state()
    torch.manual_seed(1)
    steps(whole, range(4))
    path = save(tmp_path, whole, 4)
    expected = steps(whole, range(4, 8))
    torch.manual_seed(2)
    other = state(seed=5)
    assert load_checkpoint(path, other, Ranks()) == Progress(4, Position(1, 7), 3)
    for ours, theirs in zip(steps(other, range(4, 8)), expected, strict=True):
        assert torch.equal(ours, theirs)


def test_the_newest_stay(tmp_path: Path) -> None:
    of = state()
    for step in (1, 2, 10, 100):
        save(tmp_path, of, step, keep=2)
    (tmp_path / "notes.pt").write_text("somebody's")
    assert [path.name for path in checkpoints(tmp_path)] == ["step-00000010.pt", "step-00000100.pt"]
    assert {path.name for path in tmp_path.iterdir()} == {"notes.pt", "step-00000010.pt", "step-00000100.pt"}


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """The system refuses to write more, as it does when a disk is full."""
    resource = pytest.importorskip("resource")  # Windows has none
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_what_cannot_be_written_whole_is_not_there(tmp_path: Path) -> None:
    of = state()
    with (
        files_of_at_most(2000),
        pytest.raises(TrainError, match=r"step-00000001.*a file may not grow further.*; there is no older"),
    ):
        save(tmp_path, of, 1)
    assert not list(tmp_path.iterdir())
    kept = save(tmp_path, of, 2, keep=1)
    before = kept.read_bytes()
    with files_of_at_most(2000), pytest.raises(TrainError, match=r"step-00000002\.pt is still there"):
        save(tmp_path, of, 3, keep=1)
    assert list(tmp_path.iterdir()) == [kept]
    assert kept.read_bytes() == before


@pytest.mark.parametrize("spoil", [lambda data: b"", lambda data: data[:900], lambda data: b"text" * 99])
def test_a_damaged_checkpoint_is_named(tmp_path: Path, spoil) -> None:
    path = save(tmp_path, state(), 1)
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(TrainError, match=r"step-00000001\.pt cannot be read: .*Delete it to go on from the one before"):
        load_checkpoint(path, state(), Ranks())


def test_a_checkpoint_of_another_model(tmp_path: Path) -> None:
    path, other = save(tmp_path, state(), 1), state()
    other.model.text.append(torch.nn.Linear(8, 8))
    with pytest.raises(TrainError, match="cannot be read"):
        load_checkpoint(path, other, Ranks())
