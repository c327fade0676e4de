"""Pairs of WebDataset shards: .tar files with a picture and a .txt or .json under the same name."""

from __future__ import annotations

import json
import random
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

from webdataset.filters import shuffle
from webdataset.shardlists import expand_urls
from webdataset.tariterators import base_plus_ext, tarfile_samples

from .errors import PairError
from .pairs import BrokenPair, Entry, Pair
from .ranks import Ranks

IMAGES = ("jpg", "jpeg", "png", "webp")
CAPTIONS = ("caption", "text")
"""where a .json has its text, the first that is there"""
BUFFER = 5000
"""pairs, not decoded, among which the next is drawn"""


@dataclass(frozen=True)
class Shards:
    """Each process reads shards of its own where there are enough, else its part of every shard."""

    name: str
    urls: list[str]

    @classmethod
    def named(cls, name: str) -> Shards:
        """Of webdataset's notation: braces, and `::` between several; paths, URLs, `pipe:` commands."""
        urls = expand_urls(name)
        missing = [url for url in urls if _local(url) and not Path(url).is_file()]
        if missing:
            raise PairError(f"{name}: {len(missing)} of {len(urls)} shards are not there, the first is {missing[0]}")
        return cls(name, urls)

    def count(self) -> int | None:
        """By the names in the files; None if any is not on this machine."""
        return sum(map(_count, self.urls)) if all(map(_local, self.urls)) else None

    def epoch(self, number: int, seed: int, ranks: Ranks, start: int) -> Iterator[Entry]:
        """Shards in random order, then pairs within BUFFER. To `start` it reads again, but decodes nothing."""
        urls = random.Random(f"{seed} {number}").sample(self.urls, len(self.urls))
        draws = random.Random(f"{seed} {number} {ranks.rank}")
        return islice(shuffle(BUFFER, initial=BUFFER, rng=draws)(self._share(urls, ranks)), start, None)

    def in_order(self, ranks: Ranks) -> Iterator[Entry]:
        return self._share(self.urls, ranks)

    def _share(self, urls: list[str], ranks: Ranks) -> Iterator[Entry]:
        if len(urls) >= ranks.world:
            return chain.from_iterable(map(read_shard, urls[ranks.rank :: ranks.world]))
        return islice(chain.from_iterable(map(read_shard, urls)), ranks.rank, None, ranks.world)


def read_shard(url: str) -> Iterator[Entry]:
    """What cannot be read of a shard ends it with a BrokenPair that says why."""
    errors: list[str] = []

    def note(error: Exception) -> bool:
        what = str(error.args[0]) if error.args else type(error).__name__
        errors.append(what.split(" @ ")[0])  # webdataset adds how the open file looks to Python
        return True

    called = Path(url).name if _local(url) else url
    for sample in tarfile_samples(iter([{"url": url}]), handler=note):
        yield _entry(called, sample)
    if errors:  # the first is the cause of the others
        yield BrokenPair(called, f"the shard cannot be read to its end: {errors[0]}")


def _entry(shard: str, sample: dict[str, Any]) -> Entry:
    key = f"{shard}/{sample['__key__']}"
    image = next((sample[suffix] for suffix in IMAGES if suffix in sample), None)
    if image is None:
        return BrokenPair(key, f"no picture (.{', .'.join(IMAGES)}) under this name")
    try:
        text = _text(sample)
    except ValueError as error:
        return BrokenPair(key, f"its text cannot be read: {error}")
    if not text or "\0" in text:
        return BrokenPair(key, "a NUL byte in its text" if text else "no text in its .txt or .json")
    return Pair(key, image, text)


def _text(sample: dict[str, Any]) -> str:
    """Raises ValueError for what is no UTF-8 or no JSON."""
    if "txt" in sample:
        return sample["txt"].decode("utf-8").strip()
    stated = json.loads(sample.get("json", b"{}"))
    found = [stated[key] for key in CAPTIONS if key in stated] if isinstance(stated, dict) else []
    return found[0].strip() if found and isinstance(found[0], str) else ""


def _local(url: str) -> bool:
    return "://" not in url and not url.startswith("pipe:")


def _count(file: str) -> int:
    try:
        with tarfile.open(file) as tar:
            return sum(base_plus_ext(member.name)[1].lower() in IMAGES for member in tar if member.isfile())
    except (tarfile.TarError, EOFError):
        return sum(isinstance(entry, Pair) for entry in read_shard(file))
