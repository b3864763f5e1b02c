"""Which representation an Accept header asks for (RFC 9110, section 12.5.1)."""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from proxy.errors import NotAcceptableError

MAX_RANGES = 64  # that are looked at; a browser names ten


class _MediaRange(NamedTuple):
    """One entry of an Accept header: `type/subtype`, either of them may be `*`, and its weight (0–1)."""

    main_type: str
    subtype: str
    quality: float

    def specificity(self, media_type: str) -> int:
        """Return 3 for the type itself, 2 for type/*, 1 for */*, and 0 where the range excludes the type."""
        if media_type == f"{self.main_type}/{self.subtype}":
            return 3
        if (self.main_type, self.subtype) == (media_type.partition("/")[0], "*"):
            return 2
        return int((self.main_type, self.subtype) == ("*", "*"))


@lru_cache(maxsize=64)  # clients of one program send the same header
def choose(accept: str, offers: tuple[str, ...]) -> str:
    """Return the offer with the highest weight; among equals, and without an Accept header, the first.

    Raises: NotAcceptableError naming the offers.
    """
    if not accept.strip():
        return offers[0]
    ranges = [parsed for part in accept.split(",", MAX_RANGES)[:MAX_RANGES] if (parsed := _parse(part)) is not None]
    best = max(offers, key=lambda offer: _quality(offer, ranges))
    if _quality(best, ranges) > 0:
        return best
    raise NotAcceptableError(
        f"no answer has a type of the Accept header {accept!r:.200}: ask for {' or '.join(offers)}"
    )


def _quality(offer: str, ranges: Sequence[_MediaRange]) -> float:
    """Return the weight of the most specific range that includes the offer."""
    found = max(ranges, key=lambda each: each.specificity(offer), default=None)
    return found.quality if found is not None and found.specificity(offer) else 0.0


def _parse(part: str) -> _MediaRange | None:
    """Return None for an entry that is no media range: one broken entry does not invalidate the others."""
    media_range, *parameters = (piece.strip().lower() for piece in part.split(";"))
    main_type, slash, subtype = ("*/*" if media_range == "*" else media_range).partition("/")  # as old clients say it
    if not (main_type and slash and subtype):
        return None
    weights = [value for name, _, value in (each.partition("=") for each in parameters) if name.strip() == "q"]
    try:
        quality = float(weights[0]) if weights else 1.0
    except ValueError:
        return None
    return _MediaRange(main_type, subtype, quality) if 0 <= quality <= 1 else None
