"""Large label sets: the same rows in chunks as one by one, what is cut, and another run after a break."""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
import typer
from rich.console import Console

from clip_export import label_embedding
from clip_export.bundle import BundleFacts, label_set_facts, write_bundle
from clip_export.bundle_encoders import EngineEncoders, bundle_text_encoder
from clip_export.cli.app import failing_clearly
from clip_export.commands.labels import LabelOptions, write_labels
from clip_export.errors import ExportError
from clip_export.growing_label_set import GrowingLabelSet
from clip_export.label_embedding import embed_all, embed_chunks
from clip_export.label_set import embed_texts, read_label_set
from clip_export.label_texts import LabelTexts
from clip_export.manifest import read_manifest
from clip_export.prompt_encoders import PromptEncoder, bundle_prompt_encoder
from clip_export.sources.source import Source

CPU = torch.device("cpu")
LABELS = [f"{colour} {thing}" for colour in ("red", "green", "sky blue") for thing in ("cat", "bus", "café", "Cat")]
TEXTS = LabelTexts("things", LABELS, ["a photo of a {}.", "{}", "art of the {}."], {"red bus": ["a bus", "tram", "a"]})


@pytest.fixture(scope="module")
def engine_bundle(source: Source, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("engine") / "random"
    folder.mkdir()
    write_bundle(folder, source, EngineEncoders(source), BundleFacts("random", "Random CLIP", "none"))
    return folder


@pytest.fixture
def encoder(engine_bundle: Path) -> PromptEncoder:
    return bundle_prompt_encoder(engine_bundle, read_manifest(engine_bundle), CPU)


def test_chunks_have_the_rows_of_the_references(
    engine_bundle: Path, encoder: PromptEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = embed_texts(TEXTS, bundle_text_encoder(engine_bundle, read_manifest(engine_bundle)))
    told: list[int] = []
    whole = embed_all(TEXTS, encoder, told.append)
    assert sum(told) == TEXTS.count() == 36
    np.testing.assert_allclose(whole.rows, expected, atol=1e-4)
    monkeypatch.setattr(label_embedding, "WINDOW", 15)
    chunks = list(embed_chunks(TEXTS, encoder))
    assert [len(chunk.rows) for chunk in chunks] == [5, 5, 2]
    np.testing.assert_allclose(np.concatenate([chunk.rows for chunk in chunks]), expected, atol=1e-4)
    np.testing.assert_array_equal(next(embed_chunks(TEXTS, encoder, start=5)).rows, chunks[1].rows)


def test_equal_prompts_are_encoded_once(encoder: PromptEncoder) -> None:
    encoded = 0

    def counting(ids: torch.Tensor) -> torch.Tensor:
        nonlocal encoded
        encoded += len(ids)
        return encoder.embed(ids)

    texts = LabelTexts("x", ["Cat", "cat", " cat"], ["a {}", "A {}"])  # to the tokenizer all six are one
    rows = embed_all(texts, PromptEncoder(encoder.tokens, counting, encoder.dim, shares_starts=True)).rows
    assert encoded == 1
    np.testing.assert_allclose(rows, np.repeat(rows[:1], 3, axis=0), atol=1e-7)


def test_prompts_longer_than_the_context_are_named(encoder: PromptEncoder) -> None:
    fits, cut = "cat " * 75, "dog " * 76
    chunk = embed_all(LabelTexts("x", [fits.strip(), cut.strip()], ["{}"]), encoder)
    assert chunk.cut == [cut.strip()]


@contextmanager
def interrupted(prompts: int) -> Iterator[Callable[[int], None]]:
    done = 0

    def advance(more: int) -> None:
        nonlocal done
        done += more
        if done > prompts:
            raise KeyboardInterrupt

    yield advance


def test_a_second_run_goes_on(
    engine_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(label_embedding, "WINDOW", 15)
    console, options = Console(width=200), LabelOptions(CPU)
    write_labels(console, engine_bundle, TEXTS, tmp_path / "whole.st", options)
    out = tmp_path / "parts.st"
    with pytest.raises(KeyboardInterrupt, match="5 of 12 labels are in parts"):
        write_labels(console, engine_bundle, TEXTS, out, options, lambda *_: interrupted(20))
    assert not out.exists()
    write_labels(console, engine_bundle, TEXTS, out, options)
    assert "going on after 5 of 12 labels" in capsys.readouterr().out
    assert out.read_bytes() == (tmp_path / "whole.st").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["parts.st", "whole.st"]
    before = out.stat().st_mtime_ns
    write_labels(console, engine_bundle, TEXTS, out, options)
    assert "12 labels for random, done already" in capsys.readouterr().out
    assert out.stat().st_mtime_ns == before


def test_nothing_is_left_of_a_run_that_did_not_get_far(engine_bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt, match="nothing was written"):
        write_labels(Console(), engine_bundle, TEXTS, tmp_path / "x.st", LabelOptions(CPU), lambda *_: interrupted(0))
    assert not list(tmp_path.iterdir())


def test_what_was_begun_of_other_texts_is_not_gone_on_with(
    engine_bundle: Path, encoder: PromptEncoder, tmp_path: Path
) -> None:
    manifest = read_manifest(engine_bundle)
    rows = embed_all(TEXTS, encoder).rows

    def growing(texts: LabelTexts, dtype: str = "F32", chunk: int = 5) -> GrowingLabelSet:
        return GrowingLabelSet(tmp_path / "x.st", label_set_facts(manifest, texts, encoder), encoder.dim, chunk, dtype)

    begun = growing(TEXTS)
    assert begun.resume() == 0
    begun.append(rows[:5], ["too long"])
    same = growing(TEXTS)
    assert (same.resume(), same.cut) == (5, ["too long"])
    others = [LabelTexts("things", LABELS, ["{}."]), LabelTexts("things", LABELS, TEXTS.templates, {"red bus": ["a"]})]
    for other in [*(growing(texts) for texts in others), growing(TEXTS, "F16"), growing(TEXTS, chunk=6)]:
        same = growing(TEXTS)
        same.resume()
        same.append(rows[:5], [])
        assert other.resume() == 0
        assert growing(TEXTS).resume() == 0  # the other one has begun anew in its place
    same = growing(TEXTS)
    same.resume()
    same.append(rows, [])
    same.finish()
    np.testing.assert_array_equal(read_label_set(tmp_path / "x.st").embeddings, rows)
    assert same.is_done()
    assert not growing(TEXTS, "F16").is_done()
    assert not growing(others[1]).is_done()


def test_half_precision_is_half_the_bytes(engine_bundle: Path, tmp_path: Path) -> None:
    for float16 in (False, True):
        out = tmp_path / f"{float16}.st"
        write_labels(Console(), engine_bundle, TEXTS, out, LabelOptions(CPU, float16=float16))
    whole, half = (read_label_set(tmp_path / f"{float16}.st") for float16 in (False, True))
    np.testing.assert_allclose(half.embeddings, whole.embeddings, atol=2**-12)
    saved = (tmp_path / "False.st").stat().st_size - (tmp_path / "True.st").stat().st_size
    assert abs(saved - whole.embeddings.nbytes // 2) <= 8  # the header's padding


def test_control_c_ends_with_130(engine_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    @contextmanager
    def pressed(*_: object) -> Iterator[Callable[[int], None]]:
        yield lambda prompts: signal.raise_signal(signal.SIGINT)

    with pytest.raises(typer.Exit) as ended, failing_clearly():
        write_labels(Console(), engine_bundle, TEXTS, tmp_path / "x.st", LabelOptions(CPU), pressed)
    assert ended.value.exit_code == 130
    assert "stopped: nothing was written" in capsys.readouterr().out


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="the room is taken at the beginning on Linux only")
def test_no_room_on_the_disk(engine_bundle: Path, tmp_path: Path) -> None:
    """A limit of the process stands for the end of the disk: the system refuses in the same place."""
    texts = LabelTexts("x", [f"label {number}" for number in range(100)], ["{}"])
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8_000, before[1]))
    try:
        with pytest.raises(ExportError, match=r"x.st.unfinished: File too large; nothing was written"):
            write_labels(Console(), engine_bundle, texts, tmp_path / "x.st", LabelOptions(CPU))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list(tmp_path.iterdir())
