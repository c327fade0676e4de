"""Synthetic pairs that show whether training works: coloured shapes, and captions that were never seen as a whole.

    python -m clip_export.train.shapes shapes --pairs 4000

writes `shapes/train.csv`, `shapes/held-out.csv` and their pictures. A caption is "a small red circle at the top left":
2 sizes, 8 colours, 6 shapes, 9 places. Of the 48 combinations of a colour and a shape 8 are in the held-out list only,
each colour once, in every size and place: 144 captions, one picture each. Who finds them has understood the words
one by one; guessing finds 0.7 %. Size, place, colour and background vary a little from picture to picture.
"""

from __future__ import annotations

import csv
import itertools
import math
from argparse import ArgumentParser
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

COLOURS = {
    "red": (220, 40, 40),
    "green": (40, 170, 60),
    "blue": (50, 80, 220),
    "yellow": (235, 215, 50),
    "purple": (150, 50, 180),
    "orange": (245, 140, 30),
    "white": (245, 245, 245),
    "black": (15, 15, 15),
}
SHAPES = ("circle", "square", "triangle", "diamond", "cross", "ring")
SIZES = {"small": 0.10, "large": 0.17}
"""half the width, as a share of the picture's"""
ROWS, COLUMNS = ("top", "middle", "bottom"), ("left", "centre", "right")
SIDE, OVERSAMPLING = 32, 4


@dataclass(frozen=True)
class Scene:
    """One shape somewhere."""

    size: str
    colour: str
    shape: str
    row: str
    column: str

    @property
    def caption(self) -> str:
        return f"a {self.size} {self.colour} {self.shape} at the {self.row} {self.column}"

    @property
    def held_out(self) -> bool:
        """Each colour's one shape that is not trained."""
        return list(COLOURS).index(self.colour) % len(SHAPES) == SHAPES.index(self.shape)


def scenes(held_out: bool) -> list[Scene]:
    every = (Scene(*words) for words in itertools.product(SIZES, COLOURS, SHAPES, ROWS, COLUMNS))
    return [scene for scene in every if scene.held_out == held_out]


def draw(scene: Scene, random: np.random.Generator) -> Image.Image:
    """RGB, SIDE x SIDE."""
    side = SIDE * OVERSAMPLING
    background = tuple(int(value) for value in random.integers(90, 150, 3))
    image = Image.new("RGB", (side, side), background)
    colour = tuple(int(value) for value in np.clip(np.add(COLOURS[scene.colour], random.integers(-15, 16, 3)), 0, 255))
    centre = (0.2 + 0.3 * np.array([COLUMNS.index(scene.column), ROWS.index(scene.row)])) * side
    centre = centre + random.uniform(-0.03, 0.03, 2) * side
    _draw_shape(ImageDraw.Draw(image), scene.shape, centre, SIZES[scene.size] * side * random.uniform(0.9, 1.1), colour)
    return image.resize((SIDE, SIDE), Image.Resampling.LANCZOS)


def _draw_shape(
    canvas: ImageDraw.ImageDraw, shape: str, centre: np.ndarray, half: float, colour: tuple[int, ...]
) -> None:
    x, y = centre
    box = (x - half, y - half, x + half, y + half)
    if shape == "circle":
        canvas.ellipse(box, fill=colour)
    elif shape == "ring":
        canvas.ellipse(box, outline=colour, width=round(half * 0.4))
    elif shape == "cross":
        canvas.rectangle((x - half, y - half / 3, x + half, y + half / 3), fill=colour)
        canvas.rectangle((x - half / 3, y - half, x + half / 3, y + half), fill=colour)
    else:
        corners, turn = {"square": (4, 0), "diamond": (4, 45), "triangle": (3, 0)}[shape]
        radius = half * (math.sqrt(2) if shape == "square" else 1.2)
        canvas.regular_polygon((x, y, radius), corners, rotation=turn, fill=colour)


def write_shapes(folder: Path, pairs: int, seed: int = 0, among: Callable[[Scene], bool] = lambda scene: True) -> None:
    """`train.csv` with `pairs` pairs, `held-out.csv`, and the pictures as PNG; `among` makes the world smaller."""
    random = np.random.default_rng(seed)
    trained, others = (list(filter(among, scenes(held_out))) for held_out in (False, True))
    chosen = [trained[index] for index in random.permutation(np.arange(pairs) % len(trained))]
    for name, listed in (("train", chosen), ("held-out", others)):
        (folder / name).mkdir(parents=True, exist_ok=True)
        with (folder / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(("image", "text"))
            for number, scene in enumerate(listed):
                draw(scene, random).save(folder / name / f"{number:05}.png")
                rows.writerow((f"{name}/{number:05}.png", scene.caption))


def main() -> None:
    parser = ArgumentParser(prog="python -m clip_export.train.shapes", description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pairs", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    write_shapes(given.folder, given.pairs, given.seed)


if __name__ == "__main__":
    main()
