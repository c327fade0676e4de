"""The page: what it says is what was measured; it asks no host; the same measurements give the same bytes."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clip_export.accuracy import answers
from clip_export.calibrated_scores import calibrate_scores
from clip_export.errors import ExportError
from clip_export.manifest import read_manifest
from clip_export.measurements import Compared, Measurements, Scored, ScoredList
from clip_export.photo_list import LeftOut, PhotoList
from clip_export.report_page.page import page, write_page
from clip_export.tolerance import Tolerance

LABELS = [f"class {number} <&>" for number in range(30)]
VOID = {"meta", "link"}
LIMIT = Tolerance(top1_loss=1)
BUNDLE = Path(__file__).parents[2] / "public/models/tiny-64"


def scored(photos: int, labels: int, seed: int) -> Scored:
    random = np.random.default_rng(seed)
    logits, truth = random.normal(0, 3, (photos, labels)), np.arange(photos) % labels
    logits[np.arange(photos), truth] += 4
    return Scored(answers(logits, truth), calibrate_scores(logits, truth))


def scored_list(name: str, photos: int, labels: int, **left_out: str) -> ScoredList:
    files = [Path(f"/home/someone/{number}.jpg") for number in range(photos)]
    out = tuple(LeftOut(Path(f"/home/someone/{file}.jpg"), why) for file, why in left_out.items())
    variants = {variant: scored(photos, labels, seed) for seed, variant in enumerate(["float", "int8", "edge"])}
    return ScoredList(PhotoList(name, files, [], left_out=out), "things", LABELS[:labels], 2, variants)


@pytest.fixture(scope="module")
def measured() -> Measurements:
    random = np.random.default_rng(0)
    compared = [1 - 1e-4 * random.random(100), 1 - 2e-4 * random.random(100)]
    return Measurements(
        images=Compared("photos", {"engineWeights": compared[0], "edge": np.append(compared[1][1:], np.nan)}),
        texts=Compared("texts", {"engineWeights": compared[0], "edge": compared[1]}),
        lists=[scored_list("many", 300, 30, lost="missing"), scored_list("few", 60, 5)],
        refused=[LeftOut(Path("/home/someone/odd.tiff"), "This is TIFF")],
        token_ids_differ=0,
        milliseconds={"image": {"float": 10.0, "int8": 5.0, "edge": 12.5}, "text": {"float": 2.0, "edge": 1.0}},
        edge_stages={"decode": 1.0, "preprocess": 1.0, "encode": 8.0},
        float_bytes={"image": 4_000_000, "text": 8_000_000},
    )


def with_quality(measured: Measurements, **others: Any) -> dict[str, Any]:
    """The manifest of the repository's own bundle, with other measurements."""
    return {**read_manifest(BUNDLE), "quality": measured.quality(), **others}


@pytest.fixture(scope="module")
def html(measured: Measurements) -> str:
    return page(with_quality(measured), measured, LIMIT)


class Outline(HTMLParser):
    """Refuses elements that are not closed in order, and collects their attributes and texts."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def named(self, name: str) -> Iterator[dict[str, str | None]]:
        return (attributes for tag, attributes in self.elements if tag == name)


def test_it_says_what_was_measured(html: str, measured: Measurements) -> None:
    text, quality = Outline(html).text, measured.quality()
    for tower in ("image", "text"):
        for stage in ("engineWeights", "edge"):
            assert f"{quality['parity'][tower][stage]['cosineWorst']:.6f}" in text
    for entry, expected in zip(measured.lists, quality["accuracy"], strict=True):
        for variant in ("float", "int8", "edge"):
            assert f"{100 * expected[variant]['top1']:.2f} %" in text
            assert f"{100 * entry.variants[variant].calibrated.ece_after:.2f} %" in text
    assert "Within the tolerance" in text
    assert "1 photo could not be read and left out: lost.jpg (missing)" in text
    assert "1 photo refused at the edge, and so not in its rows: odd.tiff (This is TIFF)" in text
    assert "decoding takes 10.0 % of a picture's time and resizing 10.0 %" in text
    assert "1.2 ×" in text
    assert "4.0 MB" in text
    assert "class 7 <&>" in text


def test_it_asks_nothing_and_names_nothing_of_this_machine(html: str) -> None:
    assert re.findall(r"https?://[^\"]*", html.replace("http://www.w3.org/1999/xlink", "")) == []
    assert set(re.findall(r'(?:src|href)="([^#][^"]*)"', html)) == {"data:,"}
    assert not re.search(r"url\((?!#)|@import|<script|/home/|20\d\d-\d\d", html)


def test_it_is_the_same_every_time(html: str, measured: Measurements, tmp_path: Path) -> None:
    write_page(tmp_path / "new" / "a.html", with_quality(measured), measured, LIMIT)
    assert (tmp_path / "new" / "a.html").read_text(encoding="utf-8") == html
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.html"]
    assert len(html) < 200_000


def test_where_it_cannot_be_written(measured: Measurements, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    bare = Measurements(measured.images, None, milliseconds={"image": {"float": 1.0}})
    with pytest.raises(ExportError, match=r"the report .*x\.html cannot be written"):
        write_page(tmp_path / "file" / "x.html", with_quality(bare, text=None), bare, LIMIT)


def test_everybody_can_read_it(html: str) -> None:
    outline = Outline(html)
    figures = list(outline.named("svg"))
    assert len(figures) == 2 + 2 * 2 + 2
    assert all(figure["role"] == "img" and len(figure["aria-label"]) > 30 for figure in figures)
    for svg in re.findall(r"<svg.*?</svg>", html, flags=re.S):
        ET.fromstring(svg)
        assert not re.search(r"#0[1-7]0[1-7]0[1-7]|DejaVu", svg)  # the page's own colours and font
    identifiers = [attributes["id"] for _, attributes in outline.elements if "id" in attributes]
    assert len(identifiers) == len(set(identifiers))
    assert set(re.findall(r"(?:href=\"#|url\(#)([^\")]+)", html)) <= set(identifiers)
    assert all(cell.get("scope") in ("col", "row") for cell in outline.named("th"))
    assert "prefers-color-scheme: dark" in html


def test_what_is_beyond_the_tolerance(measured: Measurements) -> None:
    odd = replace(measured, lists=[], token_ids_differ=3)
    text = Outline(page(with_quality(odd), odd, Tolerance(engine_cosine=0.99999))).text
    assert "Beyond the tolerance." in text
    assert "image, edge: worst cosine to PyTorch is 0.9998" in text
    assert "text, edge: 3 of 100 texts have not the reference's token ids" in text
    assert "gives 3 texts other token ids" in text
    assert "Within" not in text


def test_noise_and_no_edge_and_no_texts(measured: Measurements) -> None:
    images = Compared("noise", {"engineWeights": measured.images.cosines["engineWeights"]})
    bare = Measurements(images, None, milliseconds={"image": {"float": 1.0}})
    text = Outline(page(with_quality(bare, text=None), bare, Tolerance())).text
    assert "Not measured at the edge." in text
    assert "pictures of noise" in text
    assert "none: label sets are made elsewhere" in text
