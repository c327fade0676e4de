"""Reads the text files that people write: lists, labels, templates. UTF-8, with or without a byte order mark."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from pathlib import Path

from .errors import ExportError

LINE_END = re.compile("\r\n|\n|\r")
"""not str.splitlines: to an editor U+2028 and a form feed are no new line"""
UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def read_text(path: Path, error: type[ExportError] = ExportError) -> str:
    """The file's text. Raises `error` that names the line and the byte of what is no text."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise
    except OSError as cause:
        raise error(f"{path.name} cannot be read: {cause.strerror}") from cause
    if content.startswith(UTF_16):
        raise error(f"{path.name} is UTF-16; save it as UTF-8")
    content = content.removeprefix(codecs.BOM_UTF8)
    if (at := content.find(b"\0")) >= 0:
        raise error(f"{path.name}, {_place(content, at)}: a NUL byte; a text has none")
    try:
        return content.decode()
    except UnicodeDecodeError as cause:
        place = _place(content, cause.start)
        byte = content[cause.start]
        raise error(f"{path.name}, {place}: 0x{byte:02x} is not UTF-8; save the file as UTF-8") from cause


def numbered_lines(path: Path, error: type[ExportError] = ExportError) -> Iterator[tuple[int, str]]:
    """The lines that are not blank, as they are, each with its number from 1. Raises `error` as `read_text`."""
    for number, line in enumerate(LINE_END.split(read_text(path, error)), start=1):
        if line.strip():
            yield number, line


def _place(content: bytes, at: int) -> str:
    line = content.count(b"\n", 0, at) + 1
    line_end = content.rfind(b"\n", 0, at)  # of the line before, or -1
    return f"line {line}, byte {at - line_end}"
