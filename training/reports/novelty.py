"""The rows of the table of what the novelty catches, for the model card and the report."""

from collections.abc import Mapping
from typing import Any

from training.reports.figure_words import OTHER_IMAGES


def novelty_rows(found: Mapping[str, Any]) -> list[list[str]]:
    """Return how many of the test images, and of each kind of other images, are unfamiliar; nothing without figures."""
    if not found:
        return []
    rows = [["photographs of test tiles", _text(found["test"], "unfamiliar")]]
    return rows + [[words, _text(found["others"][kind], "caught")] for kind, words in OTHER_IMAGES.items()]


def _text(counts: Mapping[str, Any], word: str) -> str:
    return f"{counts[word]} of {counts['images']}, {counts[f'{word}_share']:.1%}"
