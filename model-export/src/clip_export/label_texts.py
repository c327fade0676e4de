"""What a label set is made from: labels, prompt templates, and prompts that a label brings itself.

A label with prompts of its own is embedded by these as they are, without the templates, as in the API's
`{"label": …, "prompts": […]}`. With `synonyms` they are other names of it: the templates are filled with them, and not
with the label.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from .errors import ExportError

DEFAULT_TEMPLATES = ["a photo of a {}."]
"""the API's, where none are given"""


class LabelSetError(ExportError):
    """Labels, templates or a file from which no label set can be made; the message says what to change."""


@dataclass(frozen=True)
class LabelTexts:
    """The texts of a label set."""

    name: str
    labels: Sequence[str]
    templates: Sequence[str]
    prompts: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """by label, of those that have their own"""
    synonyms: bool = False
    """the prompts are names for the templates"""

    def prompts_of(self, label: str) -> list[str]:
        """What is embedded for a label, in order."""
        own = self.prompts.get(label)
        if own is None:
            own = [label]
        elif not self.synonyms:
            return list(own)
        return [fill_template(template, name) for name in own for template in self.templates]

    def count(self, labels: Sequence[str] | None = None) -> int:
        """How many prompts some labels have, or all."""
        total, templates = 0, len(self.templates)
        for label in self.labels if labels is None else labels:
            own = self.prompts.get(label)
            total += templates if own is None else len(own) * (templates if self.synonyms else 1)
        return total

    def metadata(self) -> dict[str, Mapping[str, Sequence[str]]]:
        """What a label set's file says of prompts: `prompts`, or `synonyms`, by label; nothing where there are none."""
        return {"synonyms" if self.synonyms else "prompts": self.prompts} if self.prompts else {}


def fill_template(template: str, label: str) -> str:
    """Every "{}" of the template becomes the label."""
    return template.replace("{}", label)


def check_texts(texts: LabelTexts) -> None:
    """Raises LabelSetError for no labels, a label twice, no templates, or a template without "{}"."""
    if not texts.labels:
        raise LabelSetError("there are no labels")
    twice = sorted(label for label, times in Counter(texts.labels).items() if times > 1)
    if twice:
        raise LabelSetError(f"each label may stand once; twice: {', '.join(twice[:5])}")
    if not texts.templates and (texts.synonyms or len(texts.prompts) < len(texts.labels)):
        raise LabelSetError("there are no templates")
    for template in texts.templates:
        if "{}" not in template:
            raise LabelSetError(f'the template {template!r} has no "{{}}" for the label')
