"""Label files and template files as people write them, and every complaint with its line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from clip_export.label_file import read_label_texts, read_labels, read_lines, read_templates
from clip_export.label_texts import LabelSetError, LabelTexts, check_texts


def written(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_lines_are_trimmed_and_empty_ones_dropped(tmp_path: Path) -> None:
    path = written(tmp_path, "labels.txt", b"\xef\xbb\xbf  tabby cat \r\n\r\nespresso\rcaf\xc3\xa9\n\n")
    assert read_lines(path) == ["tabby cat", "espresso", "café"]
    assert read_labels(path) == (["tabby cat", "espresso", "café"], {})


def test_a_line_ends_where_an_editor_ends_it(tmp_path: Path) -> None:
    assert read_lines(written(tmp_path, "labels.txt", "a\u2028b\x0cc\nd")) == ["a\u2028b\x0cc", "d"]


CSV = 'label,prompt,prompt2\ncat,a cat,a kitten\n"salt, sea",,\ndog,a dog\ncat,"a ""cat"""\n\n'


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("labels.csv", "\ufeff" + CSV),
        ("LABELS.CSV", CSV.replace("\n", "\r\n")),
        ("labels.json", '[{"label": "cat", "prompts": ["a cat", "a kitten", "a \\"cat\\""]}, "salt, sea", '
                        '{"label": "dog", "prompts": ["a dog"]}]'),
        ("labels.json", '{"cat": ["a cat", "a kitten", "a \\"cat\\""], "salt, sea": [], "dog": ["a dog"]}'),
    ],
)  # fmt: skip
def test_labels_with_prompts(tmp_path: Path, name: str, content: str) -> None:
    labels, prompts = read_labels(written(tmp_path, name, content))
    assert labels == ["cat", "salt, sea", "dog"]
    assert prompts == {"cat": ["a cat", "a kitten", 'a "cat"'], "dog": ["a dog"]}


def test_prompts_stand_for_themselves_or_fill_the_templates(tmp_path: Path) -> None:
    labels = written(tmp_path, "labels.csv", "label,prompt\ncat,tabby\ncat,tom\ndog,\n")
    templates = written(tmp_path, "templates.txt", "a {}\nthe {}\n")
    texts = read_label_texts("pets", labels, templates)
    assert [texts.prompts_of(label) for label in texts.labels] == [["tabby", "tom"], ["a dog", "the dog"]]
    filled = read_label_texts("pets", labels, templates, synonyms=True)
    assert filled.prompts_of("cat") == ["a tabby", "the tabby", "a tom", "the tom"]
    for made in (texts, filled):
        assert made.count() == sum(len(made.prompts_of(label)) for label in made.labels)
    assert read_label_texts("pets", labels, None).prompts_of("dog") == ["a photo of a dog."]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("l.txt", "cat\n\ndog\ncat\n", "l.txt, line 4: 'cat' is there already, at line 1"),
        ("l.txt", " \n\n", "l.txt has no labels"),
        ("l.txt", b"cat\nd\0g\n", "l.txt, line 2, byte 2: a NUL byte"),
        ("l.txt", "cat\ncafé\n".encode("latin-1"), "l.txt, line 2, byte 4: 0xe9 is not UTF-8"),
        ("l.txt", "cat".encode("utf-16"), "l.txt is UTF-16"),
        ("l.csv", "", "l.csv has no labels"),
        ("l.csv", "cat,a cat\n", "l.csv, line 1: the header is 'cat,a cat', expected label,prompt"),
        ("l.csv", "label;prompt\ncat;a cat\n", "l.csv, line 1: the header is 'label;prompt'"),
        ("l.csv", "label\ncat,a cat\n", "l.csv, line 2: 2 columns, the header has one"),
        ("l.csv", "label,prompt\n,a cat\n", "l.csv, line 2: prompts without a label"),
        ("l.csv", "label,prompt\ncat,a\ncat,\n", "l.csv, line 3: 'cat' is there already, at line 2"),
        ("l.csv", "label,prompt\ncat,\ncat,a\n", "l.csv, line 3: 'cat' is there already, at line 2"),
        ("l.csv", "label,prompt\ncat,a\ncat,a\n", "l.csv, line 3: 'cat' has the prompt 'a' already"),
        ("l.csv", 'label,prompt\ncat,"a\n', "l.csv, line 2: unexpected end of data"),
        ("l.json", '["cat",\n "dog"', "l.json, line 2, column 7: "),
        ("l.json", "7", "l.json is neither an array"),
        ("l.json", "[]", "l.json has no labels"),
        ("l.json", '["cat", 7]', r"l.json, \[1\] is neither a string nor"),
        ("l.json", '[{"label": "cat", "prompt": "a"}]', r"l.json, \[0\] is neither"),
        ("l.json", '[{"label": " "}]', r"l.json, \[0\].label is an empty text"),
        ("l.json", '[{"label": "cat", "prompts": "a"}]', r"l.json, \[0\].prompts: the prompts are no array"),
        ("l.json", '[{"label": "cat", "prompts": ["a", null]}]', r"l.json, \[0\].prompts\[1\] is no string"),
        ("l.json", '{"cat": [], "cat": ["a"]}', "'cat' is there already"),
        ("l.json", r'["c\u0000t"]', r"\[0\]: a NUL character"),
        ("l.json", r'["c\ud800t"]', r"\[0\]: half of a surrogate pair"),
    ],
)
def test_label_files_that_are_none(tmp_path: Path, name: str, content: str | bytes, message: str) -> None:
    with pytest.raises(LabelSetError, match=message):
        read_labels(written(tmp_path, name, content))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a {}\n\na photo\n", "t.txt, line 3: the template 'a photo' has no"),
        ("\n", "t.txt has no templates"),
        (b"a {}\n\xff{}\n", "t.txt, line 2, byte 1: 0xff is not UTF-8"),
    ],
)
def test_template_files_that_are_none(tmp_path: Path, content: str | bytes, message: str) -> None:
    with pytest.raises(LabelSetError, match=message):
        read_templates(written(tmp_path, "t.txt", content))


def test_a_hundred_thousand_labels_are_checked_at_once(tmp_path: Path) -> None:
    labels = [f"label {number}" for number in range(100_000)]
    found, _ = read_labels(written(tmp_path, "labels.json", json.dumps(labels)))
    assert found == labels
    check_texts(LabelTexts("many", labels, ["{}"]))
    with pytest.raises(LabelSetError, match="twice: label 7"):
        check_texts(LabelTexts("many", [*labels, "label 7"], ["{}"]))
