"""Ratios of two contenders, round by round."""

import statistics
from collections.abc import Sequence


def spread(values: Sequence[float], limits: Sequence[float]) -> dict[str, float]:
    """Return median, least and greatest of the ratios of two lists, round by round."""
    ratios = [value / limit for value, limit in zip(values, limits, strict=True)]
    figures = {"median": statistics.median(ratios), "min": min(ratios), "max": max(ratios)}
    return {name: round(value, 4) for name, value in figures.items()}
