"""Pairs from lists and shards, what is wrong with them, and the batches of them."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from webdataset import TarWriter

from clip_export.preprocess import pixel_values
from clip_export.train.batches import Batch, Preparation, Skipped, batches
from clip_export.train.errors import PairError
from clip_export.train.pairs import BrokenPair, Pair, Pairs, Position, endless, open_pairs
from clip_export.train.ranks import Ranks

IMAGE = {"size": 8, "resize": "shortest", "interpolation": "bicubic", "mean": [0.5] * 3, "std": [0.25] * 3}


def picture(number: int) -> Image.Image:
    pixels = np.random.default_rng(number).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def encoded(number: int, kind: str = "png") -> bytes:
    buffer = io.BytesIO()
    picture(number).save(buffer, kind)
    return buffer.getvalue()


def tokenise(text: str) -> tuple[list[int], bool]:
    return [ord(letter) for letter in text][:6], len(text) > 6


def pad(ids: list[list[int]]) -> torch.Tensor:
    return torch.tensor([row + [0] * (max(map(len, ids)) - len(row)) for row in ids])


HOW = Preparation(IMAGE, tokenise, pad)


def write_list(folder: Path, count: int) -> Path:
    for number in range(count):
        picture(number).save(folder / f"{number}.png")
    file = folder / "pairs.csv"
    file.write_text("image,text\n" + "".join(f"{number}.png,text {number}\n" for number in range(count)))
    return file


def write_shards(folder: Path, shards: int, each: int) -> str:
    for shard in range(shards):
        with TarWriter(str(folder / f"shard-{shard:02}.tar")) as tar:
            for number in range(shard * each, (shard + 1) * each):
                tar.write({"__key__": f"{number:04}", "png": encoded(number), "txt": f"text {number}"})
    return f"{folder}/shard-{{00..{shards - 1:02}}}.tar"


def stream(pairs: Pairs, size: int = 2, skipped: Skipped | None = None, **options) -> Iterator[Batch]:
    ranks, start = options.get("ranks", Ranks()), options.get("start", Position())
    entries = endless(pairs, 5, ranks, start)
    return batches(entries, size, options.get("how", HOW), skipped or Skipped(), workers=2)


def texts(made: Iterator[Batch], count: int) -> list[list[str]]:
    return [[pair.text for pair in batch.pairs] for batch in islice(made, count)]


def test_a_list(tmp_path: Path) -> None:
    file = tmp_path / "pairs.tsv"
    rows = ["text\tother\timage", "a, b\tx\tin/1.png", " \t\t2.png", "last\t\t", "NUL\0\t\t3.png", ""]
    file.write_text("\n".join(rows), encoding="utf-8-sig")
    entries = list(open_pairs(str(file)).in_order(Ranks()))
    assert entries == [
        Pair("pairs.tsv, line 2: in/1.png", tmp_path / "in/1.png", "a, b"),
        BrokenPair("pairs.tsv, line 3", "no text"),
        BrokenPair("pairs.tsv, line 4", "no image"),
        BrokenPair("pairs.tsv, line 5", "a NUL byte"),
    ]
    assert open_pairs(str(file)).count() == 1


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.csv", b"file,label\na,b\n", "must name the columns image and text, it is 'file,label'"),
        ("x.csv", b"", "must name the columns"),
        ("x.csv", b"image,text\n", "has no pairs"),
        ("x.csv", "image,text\na,caf\u00e9\n".encode("latin-1"), "not UTF-8"),
        ("x.txt", b"", "pairs are a .csv or .tsv"),
    ],
)
def test_what_is_no_list(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(PairError, match=message):
        open_pairs(str(tmp_path / name))


def test_shards(tmp_path: Path) -> None:
    name = write_shards(tmp_path, 3, 4)
    pairs = open_pairs(name)
    assert pairs.count() == 12
    assert [entry.text for entry in pairs.in_order(Ranks())] == [f"text {number}" for number in range(12)]
    assert next(pairs.in_order(Ranks())) == Pair("shard-00.tar/0000", encoded(0), "text 0")


def test_what_a_shard_may_hold(tmp_path: Path) -> None:
    with TarWriter(str(tmp_path / "x.tar")) as tar:
        tar.write({"__key__": "a", "jpg": encoded(0, "jpeg"), "json": json.dumps({"caption": " in JSON "}).encode()})
        tar.write({"__key__": "b", "webp": encoded(1, "webp"), "txt": "plain", "json": b"{}"})
        tar.write({"__key__": "c", "png": encoded(2)})
        tar.write({"__key__": "d", "txt": "alone"})
        tar.write({"__key__": "e", "png": encoded(3), "txt": "caf\u00e9".encode("latin-1")})
        tar.write({"__key__": "f", "png": encoded(3), "json": b"no JSON"})
    found = {entry.key[6:]: entry for entry in open_pairs(f"{tmp_path}/x.tar").in_order(Ranks())}
    assert [found[key].text for key in "ab"] == ["in JSON", "plain"]
    whys = [found[key].why for key in "cdef"]
    for why, expected in zip(whys, ["no text", "no picture", "cannot be read", "cannot be read"], strict=True):
        assert expected in why


def test_shards_that_are_not_there_or_not_whole(tmp_path: Path) -> None:
    name = write_shards(tmp_path, 2, 4)
    with pytest.raises(PairError, match=r"1 of 3 shards are not there, the first is .*shard-02\.tar"):
        open_pairs(name.replace("01}", "02}"))
    broken = tmp_path / "shard-00.tar"
    broken.write_bytes(broken.read_bytes()[:6300])
    whole, last = list(open_pairs(name).in_order(Ranks()))[:-4]
    assert whole.text == "text 0"
    assert last == BrokenPair("shard-00.tar", "the shard cannot be read to its end: unexpected end of data")
    assert open_pairs(name).count() == 5


@pytest.mark.parametrize("kind", ["list", "shards"])
def test_processes_share_an_epoch(tmp_path: Path, kind: str) -> None:
    pairs = open_pairs(str(write_list(tmp_path, 12)) if kind == "list" else write_shards(tmp_path, 4, 3))
    epochs = []
    for number in (0, 1):
        shares = [[entry.text for entry in pairs.epoch(number, 5, Ranks(rank, 2), 0)] for rank in (0, 1)]
        assert sorted(map(len, shares)) == [6, 6]
        assert sorted(chain(*shares)) == sorted(f"text {index}" for index in range(12))
        epochs.append(shares)
    assert epochs[0] != epochs[1]


def test_fewer_shards_than_processes(tmp_path: Path) -> None:
    pairs = open_pairs(write_shards(tmp_path, 2, 6))
    shares = [[entry.text for entry in pairs.in_order(Ranks(rank, 4))] for rank in range(4)]
    assert sorted(chain(*shares)) == sorted(f"text {index}" for index in range(12))


def test_two_processes_take_what_one_would(tmp_path: Path) -> None:
    """Of a list: so that a run does not depend on how many processes share its batches."""
    pairs = open_pairs(str(write_list(tmp_path, 10)))
    one = texts(stream(pairs, 4), 5)
    two = [texts(stream(pairs, 2, ranks=Ranks(rank, 2)), 5) for rank in (0, 1)]
    assert [sorted(batch) for batch in one] == [sorted(a + b) for a, b in zip(*two, strict=True)]


@pytest.mark.parametrize("kind", ["list", "shards"])
def test_a_stream_goes_on_where_it_was(tmp_path: Path, kind: str) -> None:
    pairs = open_pairs(str(write_list(tmp_path, 7)) if kind == "list" else write_shards(tmp_path, 2, 4))
    whole = list(islice(stream(pairs, 3, how=Preparation(IMAGE, tokenise, pad, crop=0.5)), 8))
    for done in (1, 4):
        again = stream(pairs, 3, how=Preparation(IMAGE, tokenise, pad, crop=0.5), start=whole[done - 1].position)
        for batch, expected in zip(islice(again, 3), whole[done:], strict=False):
            assert batch.pairs == expected.pairs
            assert torch.equal(batch.pixels, expected.pixels)
            assert batch.position == expected.position


def test_a_batch(tmp_path: Path) -> None:
    batch = next(stream(open_pairs(str(write_list(tmp_path, 3))), 3))
    for pair, pixels, ids in zip(batch.pairs, batch.pixels, batch.ids, strict=True):
        number = int(pair.text.removeprefix("text "))
        assert torch.equal(pixels, torch.from_numpy(pixel_values(picture(number), **IMAGE)))
        assert ids.tolist() == [ord(letter) for letter in f"text {number}"]


def test_broken_pairs_are_counted_listed_and_left_out(tmp_path: Path) -> None:
    file = write_list(tmp_path, 6)
    (tmp_path / "1.png").write_bytes(encoded(1)[:200])
    (tmp_path / "2.png").unlink()
    (tmp_path / "3.png").write_text("no picture")
    with file.open("a") as rows:
        rows.write(",nothing\n0.png,\n")
    pairs, skipped = open_pairs(str(file)), Skipped(tmp_path / "skipped.tsv")
    made = stream(pairs, 3, skipped)
    assert [sorted(batch) for batch in texts(made, 3)] == [["text 0", "text 4", "text 5"]] * 3
    made.close()
    listed = dict(line.split("\t") for line in (tmp_path / "skipped.tsv").read_text().splitlines())
    assert len(listed) == len(skipped.keys) == 5
    assert listed["pairs.csv, line 4: 2.png"] == "there is no such file"
    assert "cannot be read as a picture" in listed["pairs.csv, line 3: 1.png"]
    assert listed["pairs.csv, line 9"] == "no text"
    assert len(Skipped(tmp_path / "skipped.tsv").keys) == 5  # a run that goes on lists none again
    with pytest.raises(PairError, match="without --strict it is left out"):
        texts(stream(pairs, 3, Skipped(strict=True)), 3)


def test_no_pair_that_can_be_read(tmp_path: Path) -> None:
    file = write_list(tmp_path, 3)
    for number in range(3):
        (tmp_path / f"{number}.png").write_bytes(b"")
    with pytest.raises(PairError, match="none of the pairs can be read"):
        next(stream(open_pairs(str(file))))
    with tarfile.open(tmp_path / "empty.tar", "w"):
        pass
    with pytest.raises(PairError, match=r"has no pairs for process 0 of 1"):
        next(stream(open_pairs(f"{tmp_path}/empty.tar")))


def test_texts_that_are_cut_are_counted_once(tmp_path: Path) -> None:
    file = write_list(tmp_path, 4)
    file.write_text(file.read_text() + "0.png,a longer text\n1.png,another one\n")
    made = list(islice(stream(open_pairs(str(file)), 3), 4))
    assert sum(batch.cut for batch in made) == 2 + 0  # "text 0" has six letters and is whole
    assert [batch.cut for batch in made[2:]] == [0, 0]
