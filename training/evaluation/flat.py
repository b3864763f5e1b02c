"""Figures by name: nested ones under one name each, and the name of those of the test images."""

from collections.abc import Mapping
from typing import Any


def flat(figures: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    """Return nested figures as {"outer.inner": figure}."""
    found: dict[str, float] = {}
    for name, value in figures.items():
        found |= flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return found


def tested_part(figures: Mapping[str, Any]) -> str:
    """Return the name of the test images' figures, which is another one for a leaky split."""
    return "test" if "test" in figures else "test_leaky"
