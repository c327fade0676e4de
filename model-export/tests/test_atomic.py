"""What killed runs, Ctrl-C and full disks leave behind: nothing."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from test_cli import run

import clip_export.commands.export
import clip_export.verify
from clip_export.atomic import REPLACED, UNFINISHED, holding, replacing, whole_file
from clip_export.disk import DiskFullError, check_space
from clip_export.manifest import read_manifest

SMALL_DISK = 512 * 1024
CLONE_NEWNS = 0x00020000  # unshare(2)
linux_only = pytest.mark.skipif(sys.platform != "linux", reason="the limits and the disk are Linux's")
fork_only = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")


def start(log: Path, *arguments: str | Path, before: Callable[[], object] = lambda: None) -> int:
    """A command in a process of its own, with everything imported: a fork, whose output goes to `log`. Its id."""
    process = os.fork()
    if process:
        return process
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        before()
        result = run(*arguments)
        log.write_text(result.output)
        os._exit(result.exit_code)
    except BaseException as error:
        log.write_text(repr(error))
    os._exit(99)


def exit_code(process: int) -> int:
    """When it has ended; negative: by that signal."""
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def wait_for(path: Path, pattern: str) -> Path:
    """The first file that matches, when it is there."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        found = next(iter(path.glob(pattern)), None)
        if found:
            return found
        time.sleep(0.01)
    raise AssertionError(f"no {pattern} in {path}")


def slow_noise() -> None:
    """What `export` verifies by, when it has written all, then takes a minute."""
    clip_export.verify.noise = lambda size: time.sleep(60)


@fork_only
@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGKILL])
def test_an_export_that_is_stopped(checkpoint: Path, tmp_path: Path, by: signal.Signals) -> None:
    """Stopped while it writes: the old bundle is as it was, and a new run clears away what is left."""
    models = tmp_path / "models"
    first = run("export", checkpoint, "--id", "x", "--out", models / "x", "--image-only")
    assert first.exit_code == 0, first.output
    before = (models / "x/model.json").read_bytes()
    log = tmp_path / "log"
    process = start(log, "export", checkpoint, "--id", "x", "--out", models / "x", before=slow_noise)
    wait_for(models, ".x.unfinished-*/model.json")
    os.kill(process, by)
    code = exit_code(process)
    assert (models / "x/model.json").read_bytes() == before
    if by == signal.SIGINT:
        assert code == 130
        assert log.read_text().rstrip().endswith("stopped: nothing was left half-written")
        assert [path.name for path in models.iterdir()] == ["x"]
        return
    assert len(list(models.iterdir())) == 2
    again = run("export", checkpoint, "--id", "x", "--out", models / "x")
    assert again.exit_code == 0, again.output
    assert [path.name for path in models.iterdir()] == ["x"]
    assert read_manifest(models / "x")["text"] is not None


def test_killed_between_two_renames_the_old_folder_comes_back(tmp_path: Path) -> None:
    (tmp_path / f".x{REPLACED}1").mkdir()
    (tmp_path / f".x{REPLACED}1/model.json").write_text("old")
    (tmp_path / f".x{UNFINISHED}1").mkdir()
    with suppress(ZeroDivisionError), replacing(tmp_path / "x"):
        assert (tmp_path / "x/model.json").read_text() == "old"
        raise ZeroDivisionError
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


@pytest.mark.skipif(sys.platform == "win32", reason="folders have no locks there")
def test_what_another_run_is_at_work_on_is_left_alone(tmp_path: Path) -> None:
    other, similar = tmp_path / f".x{UNFINISHED}1", tmp_path / f".x-y{UNFINISHED}1"
    other.mkdir()
    similar.mkdir()
    with holding(other), replacing(tmp_path / "x"):
        pass
    assert other.is_dir()
    assert similar.is_dir()


def test_a_file_is_whole_or_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "set.safetensors"
    path.write_text("old")
    with suppress(KeyboardInterrupt), whole_file(path) as unfinished:
        unfinished.write_text("half")
        raise KeyboardInterrupt
    assert [(item.name, item.read_text()) for item in tmp_path.iterdir()] == [(path.name, "old")]


def test_asked_again_it_is_done(checkpoint: Path, tmp_path: Path) -> None:
    out = tmp_path / "x"
    asked = ["export", checkpoint, "--id", "x", "--out", out, "--image-only"]
    assert run(*asked).exit_code == 0
    made = (out / "model.json").stat()
    again = run(*asked)
    assert again.exit_code == 0
    assert f"{out} is done" in again.output
    assert (out / "model.json").stat() == made
    for changed in (["--title", "X"], ["--force"], ["--min-cosine", "0.9"]):
        assert "is done" not in run(*asked, *changed).output
    damaged = next(out.glob("*.safetensors"))
    damaged.write_bytes(b"")
    assert "is done" not in run(*asked, "--min-cosine", "0.9").output
    assert damaged.stat().st_size > 0


def test_too_little_space_is_told_before_the_work(tmp_path: Path) -> None:
    free = shutil.disk_usage(tmp_path).free
    with pytest.raises(DiskFullError, match=r"a bundle takes about .* MiB, .* has .* MiB free"):
        check_space(tmp_path / "not/there/yet", 2 * free, "a bundle")


def small_files() -> None:
    """No file may have more than a megabyte."""
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))


@linux_only
@pytest.mark.parametrize("runtime", ["engine", "onnx"])
def test_a_file_that_may_not_grow(checkpoint: Path, tmp_path: Path, runtime: str) -> None:
    """The text encoder has 1.6 MB. Each runtime's files are written by another library."""
    out, log = tmp_path / "models/x", tmp_path / "log"
    process = start(log, "export", checkpoint, "--id", "x", "--out", out, "--runtime", runtime, before=small_files)
    assert exit_code(process) == 1, log.read_text()
    assert "failed: a file may not grow further here (ulimit -f)" in log.read_text()
    assert str(out.parent) in log.read_text()
    assert not list(out.parent.iterdir())


def mount(disk: Path) -> None:
    """A disk of half a megabyte, which only this process sees."""
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNS):
        raise OSError(ctypes.get_errno(), "unshare")
    for options in (["--make-rprivate", "/"], ["-t", "tmpfs", "-o", f"size={SMALL_DISK}", "tmpfs", str(disk)]):
        subprocess.run(["mount", *options], check=True, capture_output=True)


def can_mount(folder: Path) -> bool:
    process = start(folder / "log", "--help", before=lambda: mount(folder))
    return exit_code(process) == 0


@linux_only
@pytest.mark.parametrize("runtime", ["engine", "onnx"])
def test_a_full_disk(checkpoint: Path, tmp_path: Path, runtime: str) -> None:
    """With a guess of the space needed that is too low."""
    disk, log = tmp_path / "disk", tmp_path / "log"
    disk.mkdir()
    if not can_mount(disk):
        pytest.skip("NOT RUN: no disk can be mounted here (it needs root)")

    def before() -> None:
        mount(disk)
        clip_export.commands.export.check_space = lambda *facts: None

    out = disk / "models/x"
    process = start(log, "export", checkpoint, "--id", "x", "--out", out, "--runtime", runtime, before=before)
    assert exit_code(process) == 1, log.read_text()
    assert f"failed: the disk is full: 0.0 MiB are free in {out.parent}" in log.read_text()
    assert log.read_text().rstrip().endswith("Nothing was written; make room and run it again")
