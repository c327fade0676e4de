"""SentencePiece's table of what becomes of characters before a text is cut into tokens ("precompiled charsmap").

The table: uint32 bytes of a trie; the trie, a double array of uint32 units (darts-clone); the replacements, UTF-8, each
ended by a NUL. Two ways to apply it are in use: SentencePiece takes the longest sequence of characters that the table
has; `tokenizers` looks first at what belongs to one grapheme of less than 6 bytes, then at single characters, and where
the table has the beginning of one, its replacement takes the place of the whole.
"""

from __future__ import annotations

import regex

LONGEST, GRAPHEMES = "longest", "graphemes"
SHORT_GRAPHEME = 6
"""bytes"""


class Charsmap:
    """A table, as it lies in a SentencePiece model and, in base64, in a `tokenizer.json`."""

    def __init__(self, content: bytes) -> None:
        size = int.from_bytes(content[:4], "little")
        self.units = memoryview(content[4 : 4 + size]).cast("I")
        self.replacements = content[4 + size :]

    def normalise(self, text: str, match: str) -> str:
        """`match`: LONGEST or GRAPHEMES."""
        return self._longest(text.encode()) if match == LONGEST else self._graphemes(text)

    def _longest(self, text: bytes) -> str:
        made, at = bytearray(), 0
        while at < len(text):
            found = self.prefixes(text, at)
            if found:
                length, replacement = found[-1]
            else:
                length = _character_bytes(text[at])
                replacement = text[at : at + length]
            made += replacement
            at += length
        return made.decode()

    def _graphemes(self, text: str) -> str:
        made = []
        for grapheme in regex.findall(r"\X", text):
            found = self.prefixes(grapheme.encode()) if len(grapheme.encode()) < SHORT_GRAPHEME else []
            if found:
                made.append(found[0][1].decode())
                continue
            for character in grapheme:
                found = self.prefixes(character.encode())
                made.append(found[0][1].decode() if found else character)
        return "".join(made)

    def prefixes(self, text: bytes, start: int = 0) -> list[tuple[int, bytes]]:
        """What the table has that `text` has from `start` on, the shortest first: bytes, and the replacement."""
        found = []
        node = _offset(self.units[0])
        for at in range(start, len(text)):
            node ^= text[at]
            unit = self.units[node]
            if unit & 0x800000FF != text[at]:
                break
            node ^= _offset(unit)
            if unit >> 8 & 1:
                begin = self.units[node] & 0x7FFFFFFF
                found.append((at + 1 - start, self.replacements[begin : self.replacements.index(0, begin)]))
        return found


def _offset(unit: int) -> int:
    return (unit >> 10) << ((unit & 0x200) >> 6)


def _character_bytes(first: int) -> int:
    return 1 if first < 0x80 else 2 if first < 0xE0 else 3 if first < 0xF0 else 4
