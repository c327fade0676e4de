"""Fills the page. It names no date, no path and no host: the same measurements give the same bytes."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ..confusion import ClassAnswers, classes_worst_first, confusion
from ..errors import ExportError
from ..manifest import files_of
from ..measurements import EDGE, Measurements, ScoredList
from ..photo_list import named
from ..report import STAGES, VARIANTS
from ..tolerance import Tolerance
from ..verify import findings
from .figures import RIGHT, bars, confusion_matrix, cosine_histogram, reliability_diagram

WORST = 10
"""classes that a confusion shows"""
SMALL = 12
"""labels up to which all of them are shown"""
ENVIRONMENT = Environment(
    loader=FileSystemLoader(Path(__file__).parent),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def write_page(path: Path, manifest: dict[str, Any], measured: Measurements, limit: Tolerance) -> None:
    """Writes the page of a bundle, whose `quality` is already in the manifest. Raises ExportError if it cannot be
    written."""
    html = page(manifest, measured, limit)
    unfinished = path.with_name(f"{path.name}.unfinished")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished.write_text(html, encoding="utf-8")
        unfinished.replace(path)
    except OSError as error:
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)
        raise ExportError(f"the report {path} cannot be written: {error.strerror}") from error


def page(manifest: dict[str, Any], measured: Measurements, limit: Tolerance) -> str:
    """The page's HTML."""
    quality = manifest["quality"]
    return ENVIRONMENT.get_template("page.html.jinja").render(
        manifest=manifest,
        measured=measured,
        quality=quality,
        findings=findings(quality, limit),
        limit=limit,
        limits={name: limit.cosines(stages) for name, stages in quality["parity"].items()},
        stages=STAGES,
        variants=VARIANTS,
        edge=EDGE,
        named=named,
        cosines=cosine_figures(measured, quality, limit),
        lists=[list_view(entry) for entry in measured.lists],
        costs=cost_rows(manifest, measured),
        cost_figures=cost_figures(manifest, measured),
        bundle_bytes=sum(entry["bytes"] for entry in files_of(manifest)),
        facts=facts(manifest),
    )


def cosine_figures(measured: Measurements, quality: dict[str, Any], limit: Tolerance) -> dict[str, str]:
    compared = {"image": measured.images, **({"text": measured.texts} if measured.texts else {})}
    return {
        name: cosine_histogram(each, limit.cosines(quality["parity"][name]), name) for name, each in compared.items()
    }


def list_view(entry: ScoredList) -> dict[str, Any]:
    """A photo list's figures, and its classes, worst first, as its best variant answers."""
    best = entry.variants[entry.best()]
    classes = classes_worst_first(best.answers, entry.labels)
    shown, columns = confusion_labels(classes)
    shares = confusion(shown, columns)
    rows = [each.label for each in shown]
    if RIGHT in columns:  # and a class's own label is then said there
        shares[np.array(rows)[:, None] == np.array(columns)] = 0
        shares[:, 0] = [each.right for each in shown]
    return {
        "entry": entry,
        "best": entry.best(),
        "accuracy": {name: scored.answers.accuracy() for name, scored in entry.variants.items()},
        "calibrated": best.calibrated,
        "reliability": reliability_diagram(best.calibrated, entry.photos.name) if best.calibrated else None,
        "classes": classes,
        "worst": shown,
        "confusion": confusion_matrix(rows, columns, shares, entry.photos.name),
        "all_shown": RIGHT not in columns,
    }


def confusion_labels(classes: Sequence[ClassAnswers]) -> tuple[Sequence[ClassAnswers], list[str]]:
    """The classes to show, and the columns: of few classes all; else "right", and what the worst are most often taken
    for, the commonest first."""
    labels = {each.label for each in classes} | {label for each in classes for label, _ in each.taken_for}
    if len(labels) <= SMALL:
        return classes, [*(each.label for each in classes), *sorted(labels - {each.label for each in classes})]
    worst, totals = classes[:WORST], {}
    for each in worst:
        for label, share in each.taken_for:
            totals[label] = totals.get(label, 0) + share
    return worst, [RIGHT, *sorted(totals, key=lambda label: -totals[label])[:WORST]]


def cost_rows(manifest: dict[str, Any], measured: Measurements) -> list[dict[str, Any]]:
    """For each encoder: bytes in float32 and in the bundle, and times as multiples of PyTorch's."""
    rows = []
    for name, taken in measured.milliseconds.items():
        size = sum(entry["bytes"] for entry in manifest[name]["files"])
        ratios = {variant: time / taken["float"] for variant, time in taken.items()}
        float_bytes = measured.float_bytes.get(name)
        rows.append({"encoder": name, "bytes": size, "float_bytes": float_bytes, "ratios": ratios})
    return rows


def cost_figures(manifest: dict[str, Any], measured: Measurements) -> dict[str, str]:
    """Bars of size, and of time."""
    sizes, times = [], []
    for row in cost_rows(manifest, measured):
        name = row["encoder"]
        if row["float_bytes"]:
            sizes.append((f"{name}, PyTorch float32", row["float_bytes"] / 1e6, megabytes(row["float_bytes"])))
        sizes.append((f"{name}, bundle", row["bytes"] / 1e6, megabytes(row["bytes"])))
        where = {"float": "PyTorch float32", "int8": "onnxruntime, native", EDGE: "edge"}
        times += [(f"{name}, {where[variant]}", ratio, f"{ratio:.1f} ×") for variant, ratio in row["ratios"].items()]
    in_words = {"sizes": sizes, "times": times}
    said = {key: ", ".join(f"{what} {words}" for what, _, words in values) for key, values in in_words.items()}
    return {
        "sizes": bars(sizes, "sizes", "megabytes", f"Sizes of the encoders: {said['sizes']}."),
        "times": bars(times, "times", "time, as a multiple of PyTorch's", f"Times of the encoders: {said['times']}."),
    }


def megabytes(count: int) -> str:
    return f"{count / 1e6:.1f} MB"


def facts(manifest: dict[str, Any]) -> list[tuple[str, str]]:
    """What the manifest says of the model, for people."""
    image, text, similarity = manifest["image"], manifest["text"], manifest["similarity"]
    mean, std = (", ".join(f"{value:.4f}" for value in image[key]) for key in ("mean", "std"))
    resize = {"shortest": "shortest side to {0}, centre crop", "squash": "both sides to {0}"}[image["resize"]]
    bias = f", logit bias {similarity['logitBias']:.4g}" if "logitBias" in similarity else ""
    rows = [
        ("Source", f"{manifest['source']['kind']}: {manifest['source']['name']}"),
        ("Source, sha256", manifest["source"]["sha256"]),
        ("Revision", manifest["revision"]),
        ("Licence", manifest["license"]),
        ("Embedding", f"{manifest['embeddingDim']} dimensions"),
        ("Scores", f"{similarity['kind']}, logit scale {similarity['logitScale']:.6g}{bias}"),
        ("Pictures", f"{resize.format(image['size'])}, {image['interpolation']}, antialiased; mean {mean}; std {std}"),
        ("Image encoder", encoder_fact(image)),
    ]
    if text is None:
        return [*rows, ("Text encoder", "none: label sets are made elsewhere")]
    tokenizer = text["tokenizer"]
    words = f"{tokenizer['kind']}, {tokenizer['vocabularySize']} tokens, at most {text['contextLength']} of them a text"
    return [*rows, ("Text encoder", encoder_fact(text)), ("Tokenizer", words)]


def encoder_fact(encoder: dict[str, Any]) -> str:
    architecture = encoder.get("architecture")
    if architecture is None:
        return f"{encoder['runtime']} graph"
    shape = ", ".join(
        f"{key} {architecture[key]}" for key in ("layers", "stages", "width", "heads") if key in architecture
    )
    fast = len(architecture.get("fast", []))
    return f"{encoder['runtime']}; {shape}; {f'{fast} linears fast' if fast else 'all linears exact'}"
