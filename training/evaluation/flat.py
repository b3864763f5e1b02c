"""Nested figures under one name each, as tables, lists of figures and the words for them use."""

from collections.abc import Mapping
from typing import Any


def flat(figures: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    """Return nested figures as {"outer.inner": figure}."""
    found: dict[str, float] = {}
    for name, value in figures.items():
        found |= flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return found
