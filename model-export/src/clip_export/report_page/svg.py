"""matplotlib's figures as lean inline SVG: in the page's own colours and font, and with a text for who sees none."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape

import matplotlib
from matplotlib.figure import Figure

COLOURS = {
    "ink": "#010101",
    "muted": "#020202",
    "grid": "#030303",
    "surface": "#040404",
    "series-1": "#050505",
    "series-2": "#060606",
    "series-3": "#070707",
}
"""What figures are drawn with: each becomes the CSS variable of its name, so that a dark page has other colours."""

SETTINGS = {
    "svg.fonttype": "none",  # text stays text: small, sharp, and found by a search
    "svg.hashsalt": "clip-export",  # otherwise every run names its clip paths anew
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "axes.edgecolor": COLOURS["muted"],
    "axes.labelcolor": COLOURS["muted"],
    "axes.titlecolor": COLOURS["ink"],
    "text.color": COLOURS["ink"],
    "xtick.color": COLOURS["muted"],
    "ytick.color": COLOURS["muted"],
    "grid.color": COLOURS["grid"],
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "figure.constrained_layout.use": True,
}
UNDATED = {"Date": None, "Creator": None, "Format": None, "Type": None}
WIDTH = 4.9
"""inches of 72 pixels: what a phone shows without making letters small"""


@contextmanager
def drawing(height: float, width: float = WIDTH) -> Iterator[Figure]:
    """A figure of the page's looks, so many inches high."""
    with matplotlib.rc_context(SETTINGS):
        yield Figure(figsize=(width, height))


def inline_svg(figure: Figure, name: str, text: str) -> str:
    """The <svg> element alone. `name` makes its ids its own; `text` says what the figure shows."""
    with matplotlib.rc_context(SETTINGS):
        file = io.StringIO()
        figure.savefig(file, format="svg", metadata=UNDATED, transparent=True)
    svg = file.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->|<style type=.*?</style>", "", svg, flags=re.S)
    for variable, colour in COLOURS.items():
        svg = svg.replace(colour, f"var(--{variable})")
    svg = re.sub(r"font: (?:[a-z]+ )*([\d.]+)px [^;\"]*", r"font-size: \1px", svg)
    svg = re.sub(r"font-family: [^;\"]*;? ?", "", svg)  # of powers of ten
    svg = _own_ids(svg, name)
    svg = re.sub(r"\s*\n\s*", "\n", svg)
    width, height = (round(72 * inches) for inches in figure.get_size_inches())
    box = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    head = f'<svg role="img" aria-label="{escape(text)}" xmlns:xlink="http://www.w3.org/1999/xlink" {box}>'
    return head + svg[svg.index(">") + 1 :].strip()


def _own_ids(svg: str, name: str) -> str:
    """Ids that something refers to begin with `name`, since a page has several figures; all others go."""
    used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', svg))
    svg = re.sub(r' id="([^"]+)"', lambda match: match[0] if match[1] in used else "", svg)
    return re.sub(r'(id="|href="#|url\(#)([^")]+)', lambda match: f"{match[1]}{name}-{match[2]}", svg)
