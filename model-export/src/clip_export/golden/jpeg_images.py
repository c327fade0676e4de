"""JPEG fixtures: every kind that libjpeg writes by way of PIL, plus two CMYK kinds that PIL cannot write.

Not here: arithmetic coding, 12 bits, lossless JPEG: no decoder in use at the edge reads them.
"""

from __future__ import annotations

from io import BytesIO

import numpy as np
from PIL import Image

from .exif import JPEG_PREFIX, orientation_exif, stored
from .photos import small

ADOBE_MARKER = b"\xff\xee\x00\x0eAdobe"


def jpeg(image: Image.Image, **options: object) -> bytes:
    file = BytesIO()
    image.save(file, "JPEG", **{"quality": 80, **options})
    return file.getvalue()


def cmyk(photo: Image.Image) -> Image.Image:
    """RGB -> CMYK with a black plate (PIL's own conversion leaves K at 0, which would test nothing)."""
    ink = 255 - np.asarray(photo, dtype=np.int32)
    black = ink.min(axis=2) // 2
    coloured = (ink - black[:, :, None]) * 255 // (255 - black[:, :, None])
    return Image.fromarray(np.dstack([coloured, black]).astype(np.uint8), mode="CMYK")


def without_adobe_marker(file: bytes) -> bytes:
    """Drops the APP14 segment (16 bytes); readers have to assume Adobe's inverted CMYK, as PIL and browsers do."""
    at = file.index(ADOBE_MARKER)
    return file[:at] + file[at + 16 :]


def ycck(photo: Image.Image) -> bytes:
    """An Adobe YCCK file, as Photoshop writes them: YCbCr of the negative, and inverted black.

    PIL stores a CMYK image's samples inverted and untransformed, so the wanted samples go in inverted, and the Adobe
    marker's last byte, the transform, is set to 2 (YCCK).
    """
    negative = 255 - np.asarray(photo)
    luma = np.asarray(Image.fromarray(negative).convert("YCbCr"))
    white = np.full(luma.shape[:2], 255, np.uint8)
    file = bytearray(jpeg(Image.fromarray(255 - np.dstack([luma, white]), mode="CMYK")))
    file[file.index(ADOBE_MARKER) + 15] = 2
    return bytes(file)


def oriented(photo: Image.Image) -> dict[str, bytes]:
    """One file per EXIF orientation; all show the same upright picture. Even ones are big-endian."""
    files = {}
    for orientation in range(1, 9):
        exif = JPEG_PREFIX + orientation_exif(orientation, ">" if orientation % 2 == 0 else "<")
        files[f"jpeg-orientation-{orientation}.jpg"] = jpeg(stored(photo, orientation), exif=exif)
    return files


def large(photo: Image.Image) -> bytes:
    """1400x1050, about 200 kB: for a model of 64 pixels a decoder may halve it twice. Grain makes that visible."""
    smooth = np.asarray(photo.resize((1400, 1050), Image.Resampling.BICUBIC), dtype=np.float64)
    grain = np.random.default_rng(1).normal(0, 2.5, smooth.shape[:2])[:, :, None]
    return jpeg(Image.fromarray(np.clip(smooth + grain, 0, 255).astype(np.uint8)), quality=85)


def jpeg_images(photos: dict[str, Image.Image]) -> dict[str, bytes]:
    """file name -> file."""
    chelsea, coffee = small(photos["chelsea"], 160, 120), small(photos["coffee"], 157, 119)
    rocket = small(photos["rocket"], 119, 157)
    return {
        "jpeg-420.jpg": jpeg(chelsea, subsampling="4:2:0"),
        "jpeg-420-odd.jpg": jpeg(coffee, subsampling="4:2:0"),
        "jpeg-422-odd.jpg": jpeg(coffee, subsampling="4:2:2"),
        "jpeg-444.jpg": jpeg(chelsea, subsampling="4:4:4"),
        "jpeg-444-odd.jpg": jpeg(rocket, subsampling="4:4:4"),
        "jpeg-progressive-420.jpg": jpeg(coffee, subsampling="4:2:0", progressive=True),
        "jpeg-progressive-444.jpg": jpeg(rocket, subsampling="4:4:4", progressive=True),
        "jpeg-restart.jpg": jpeg(chelsea, restart_marker_rows=1),
        "jpeg-rgb.jpg": jpeg(coffee, keep_rgb=True),
        "jpeg-grey.jpg": jpeg(chelsea.convert("L")),
        "jpeg-grey-progressive.jpg": jpeg(coffee.convert("L"), progressive=True),
        "jpeg-cmyk.jpg": jpeg(cmyk(coffee)),
        "jpeg-cmyk-progressive.jpg": jpeg(cmyk(rocket), progressive=True),
        "jpeg-cmyk-without-adobe.jpg": without_adobe_marker(jpeg(cmyk(coffee))),
        "jpeg-ycck.jpg": ycck(coffee),
        "jpeg-1x1.jpg": jpeg(small(photos["coffee"], 1, 1)),
        "jpeg-wide.jpg": jpeg(small(photos["chelsea"], 600, 20)),
        "jpeg-tall.jpg": jpeg(small(photos["rocket"], 20, 300)),
        "jpeg-trailing-bytes.jpg": jpeg(chelsea) + b"\0 trailing bytes after the end of the image \xff\xd8\xff",
        "jpeg-named.png": jpeg(chelsea),
        "jpeg-large.jpg": large(photos["coffee"]),
        **oriented(small(photos["chelsea"], 97, 61)),
    }
