"""Lists of labelled photos: what is read, what is left out, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from clip_export.errors import ExportError
from clip_export.photo_list import (
    PhotoListError,
    left_out_line,
    load_photos,
    load_pixels,
    read_photo_list,
    read_photo_lists,
)
from clip_export.preprocess import pixel_values
from clip_export.text_file import read_text

IMAGE: dict[str, Any] = {
    "size": 32,
    "resize": "shortest",
    "interpolation": "bicubic",
    "mean": [0.5, 0.4, 0.3],
    "std": [0.2, 0.3, 0.4],
}
LABELS = ["cat", "dog", "horse"] * 4


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twelve photos of noise and their list, `photos.tsv`."""
    pictures = np.random.default_rng(0).integers(0, 256, (12, 40, 50, 3), dtype=np.uint8)
    for number, pixels in enumerate(pictures):
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    lines = [f"{number}.png\t{label}" for number, label in enumerate(LABELS)]
    (tmp_path / "photos.tsv").write_text("\n".join(lines) + "\n\n")
    return tmp_path


def test_a_list_of_whole_photos(folder: Path) -> None:
    photos = read_photo_list(folder / "photos.tsv", folder)
    assert (photos.name, photos.labels) == ("photos", LABELS)
    read, pixels = load_photos(photos, IMAGE)
    assert read == photos
    assert left_out_line(read) == ""
    with Image.open(folder / "7.png") as photo:
        np.testing.assert_array_equal(pixels[7], pixel_values(photo, *IMAGE.values()))
    np.testing.assert_array_equal(load_pixels(photos, IMAGE), pixels)


def break_three(folder: Path) -> None:
    (folder / "0.png").unlink()
    (folder / "5.png").write_bytes((folder / "5.png").read_bytes()[:1000])
    (folder / "11.png").write_bytes(b"no picture")


def test_broken_photos_are_left_out(folder: Path) -> None:
    whole = load_pixels(read_photo_list(folder / "photos.tsv", folder), IMAGE)
    break_three(folder)
    read, pixels = load_photos(read_photo_list(folder / "photos.tsv", folder), IMAGE)
    kept = [row for row in range(12) if row not in (0, 5, 11)]
    assert read.labels == [LABELS[row] for row in kept]
    assert [file.name for file in read.files] == [f"{row}.png" for row in kept]
    np.testing.assert_array_equal(pixels, whole[kept])
    line = left_out_line(read)
    assert line.startswith("photos: 3 of 12 photos left out: 0.png (missing), 5.png (")
    assert "11.png (cannot identify image file '11.png')" in line
    assert str(folder) not in line


def test_a_strict_list_has_no_broken_photo(folder: Path) -> None:
    break_three(folder)
    with pytest.raises(PhotoListError, match=r"0\.png: cannot be read as a picture: missing"):
        load_photos(read_photo_list(folder / "photos.tsv", folder, strict=True), IMAGE)
    with pytest.raises(PhotoListError, match=r"0\.png"):
        load_pixels(read_photo_list(folder / "photos.tsv", folder), IMAGE)


def test_only_the_first_ten_are_named(folder: Path) -> None:
    for number in range(11):
        (folder / f"{number}.png").unlink()
    line = left_out_line(load_photos(read_photo_list(folder / "photos.tsv", folder), IMAGE)[0])
    assert "11 of 12 photos left out" in line
    assert "9.png (missing), and 1 more" in line
    (folder / "11.png").unlink()
    with pytest.raises(PhotoListError, match=r"photos: none of its photos can be read: 0\.png \(missing\)"):
        load_photos(read_photo_list(folder / "photos.tsv", folder), IMAGE)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a.png\tcat\nb.png dog\n", "photos.tsv, line 2: expected a file, a tab and a label"),
        (b"a.png\t \n", "line 1: expected a file"),
        (b"\tcat\n", "line 1: expected a file"),
        (b"\n\n", "lists no photos"),
        (b"", "lists no photos"),
        ("a.png\tkäse\n".encode("latin-1"), "line 1, byte 8: 0xe4 is not UTF-8"),
        ("a.png\tcat\n".encode("utf-16"), "photos.tsv is UTF-16; save it as UTF-8"),
        (b"a.png\tcat\nb.p\0g\tdog\n", "photos.tsv, line 2, byte 4: a NUL byte"),
    ],
)
def test_a_list_that_is_none(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "photos.tsv").write_bytes(content)
    with pytest.raises(PhotoListError, match=message):
        read_photo_list(tmp_path / "photos.tsv", tmp_path)


def test_lines_end_as_in_an_editor(tmp_path: Path) -> None:
    """[regression] U+2028 and a form feed within a label were taken for line ends."""
    (tmp_path / "photos.tsv").write_bytes("a.png\tred\u2028cat\r\n\nb.png\tblue\x0cdog\rc.png\tcow".encode())
    assert read_photo_list(tmp_path / "photos.tsv", tmp_path).labels == ["red\u2028cat", "blue\x0cdog", "cow"]


def test_texts_in_utf_8(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("\ufeffkäse\r\n".encode())
    assert read_text(tmp_path / "a.txt") == "käse\r\n"
    with pytest.raises(ExportError, match="cannot be read"):
        read_text(tmp_path)


def test_one_folder_to_each_list(folder: Path) -> None:
    with pytest.raises(PhotoListError, match="1 --images but 2 --image-folder"):
        read_photo_lists([folder / "photos.tsv"], [folder, folder])
