"""Files of labels and of templates, as people write them. Every complaint names the line.

Labels, by the file's ending:
- text (any other ending): one a line;
- `.csv`: the header `label` or `label,prompt…`, then rows of a label and as many prompts as it has. A label may go on
  in further rows with more prompts;
- `.json`: `["cat", {"label": "dog", "prompts": ["a dog"]}]`, or `{"cat": ["a cat", "a kitten"], "dog": []}`.
Templates: text. All are UTF-8, with a byte order mark or without; blanks around a text, and empty lines, do not count.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .label_texts import DEFAULT_TEMPLATES, LabelSetError, LabelTexts
from .text_file import numbered_lines, read_text


def read_label_texts(name: str, labels: Path, templates: Path | None, synonyms: bool = False) -> LabelTexts:
    """A label file and a template file; without one, the API's template. Raises LabelSetError."""
    names, prompts = read_labels(labels)
    return LabelTexts(name, names, read_templates(templates) if templates else DEFAULT_TEMPLATES, prompts, synonyms)


def read_labels(path: Path) -> tuple[list[str], dict[str, list[str]]]:
    """The labels in order, and the prompts of those that have their own. Raises LabelSetError."""
    kind = path.suffix.lower()
    read = {".csv": _csv_labels, ".json": _json_labels}.get(kind, _text_labels)
    where: dict[str, str] = {}
    prompts: dict[str, list[str]] = {}
    for label, own, at, more in read(path):
        if label in where and not (more and label in prompts):
            raise LabelSetError(f"{at}: {label!r} is there already, at {where[label]}")
        where.setdefault(label, at.removeprefix(f"{path.name}, "))
        for prompt in own:
            if prompt in prompts.setdefault(label, []):
                raise LabelSetError(f"{at}: {label!r} has the prompt {prompt!r} already")
            prompts[label].append(prompt)
    if not where:
        raise LabelSetError(f"{path.name} has no labels")
    return list(where), prompts


def read_templates(path: Path) -> list[str]:
    """One template a line, each with "{}" for the label. Raises LabelSetError."""
    templates = []
    for number, line in _stripped_lines(path):
        if "{}" not in line:
            raise LabelSetError(f'{path.name}, line {number}: the template {line!r} has no "{{}}" for the label')
        templates.append(line)
    if not templates:
        raise LabelSetError(f"{path.name} has no templates")
    return templates


def read_lines(path: Path) -> list[str]:
    """The lines of a text file that are not empty, without the blanks around them."""
    return [line for _, line in _stripped_lines(path)]


def _stripped_lines(path: Path) -> Iterator[tuple[int, str]]:
    return ((number, line.strip()) for number, line in numbered_lines(path, LabelSetError))


Labels = Iterator[tuple[str, list[str], str, bool]]
"""a label, its prompts, where it stands, and whether it may go on an earlier one's prompts"""


def _text_labels(path: Path) -> Labels:
    for number, line in _stripped_lines(path):
        yield line, [], f"{path.name}, line {number}", False


def _csv_labels(path: Path) -> Labels:
    rows = csv.reader(io.StringIO(read_text(path, LabelSetError), newline=""), strict=True)
    header = None
    try:
        for row in rows:
            cells, at = [cell.strip() for cell in row], f"{path.name}, line {rows.line_num}"
            if not any(cells):
                continue
            if header is None:
                header = cells
                if header[0].lower() != "label":
                    raise LabelSetError(f"{at}: the header is {','.join(row)!r}, expected label,prompt")
                continue
            if len(cells) > 1 and len(header) == 1:
                raise LabelSetError(f"{at}: {len(cells)} columns, the header has one: label,prompt would be two")
            if not cells[0]:
                raise LabelSetError(f"{at}: prompts without a label")
            own = [cell for cell in cells[1:] if cell]
            yield cells[0], own, at, bool(own)
    except csv.Error as error:
        raise LabelSetError(f"{path.name}, line {rows.line_num}: {error}") from error


def _json_labels(path: Path) -> Labels:
    try:
        value = json.loads(read_text(path, LabelSetError), object_pairs_hook=_pairs)
    except json.JSONDecodeError as error:
        raise LabelSetError(f"{path.name}, line {error.lineno}, column {error.colno}: {error.msg}") from error
    if isinstance(value, Pairs):
        for label, prompts in value:
            at = f"{path.name}, the label {label!r}"
            yield _text(label, at), _texts(prompts, at), at, False
        return
    if not isinstance(value, list):
        raise LabelSetError(f"{path.name} is neither an array of labels nor an object of them")
    for i, item in enumerate(value):
        at = f"{path.name}, [{i}]"
        if isinstance(item, str):
            yield _text(item, at), [], at, False
            continue
        keys = [key for key, _ in item] if isinstance(item, Pairs) else []
        if "label" not in keys or not set(keys) <= {"label", "prompts"} or len(set(keys)) < len(keys):
            raise LabelSetError(f'{at} is neither a string nor {{"label": "…", "prompts": ["…"]}}')
        fields = dict(item)
        yield _text(fields["label"], f"{at}.label"), _texts(fields.get("prompts", []), f"{at}.prompts"), at, False


class Pairs(list[tuple[str, Any]]):
    """A JSON object with the keys that it has twice."""


def _pairs(pairs: list[tuple[str, Any]]) -> Pairs:
    return Pairs(pairs)


def _texts(value: Any, at: str) -> list[str]:
    if isinstance(value, Pairs) or not isinstance(value, list):
        raise LabelSetError(f"{at}: the prompts are no array of strings")
    return [_text(item, f"{at}[{i}]") for i, item in enumerate(value)]


def _text(value: Any, at: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise LabelSetError(f"{at} is {'an empty text' if isinstance(value, str) else 'no string'}")
    if "\0" in value:
        raise LabelSetError(f"{at}: a NUL character; a text has none")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise LabelSetError(f"{at}: half of a surrogate pair; a text has whole characters") from error
    return value.strip()
