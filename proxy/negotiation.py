"""Which representation an Accept header asks for (RFC 9110, section 12.5.1)."""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from proxy.errors import NotAcceptableError


class MediaRange(NamedTuple):
    """One entry of an Accept header: `type/subtype`, either of them `*`, and how much it is wanted (0–1)."""

    kind: str
    subkind: str
    quality: float

    def specificity(self, media_type: str) -> int:
        """Return 3 for the type itself, 2 for type/*, 1 for */*, and 0 where the range does not hold the type."""
        if media_type == f"{self.kind}/{self.subkind}":
            return 3
        if (self.kind, self.subkind) == (media_type.partition("/")[0], "*"):
            return 2
        return int((self.kind, self.subkind) == ("*", "*"))


@lru_cache(maxsize=64)  # clients of one kind send one header
def choose(accept: str, offers: tuple[str, ...]) -> str:
    """Return the offer that is wanted most; among equals, and without an Accept header, the first.

    Raises: NotAcceptableError naming the offers.
    """
    if not accept.strip():
        return offers[0]
    ranges = [parsed for part in accept.split(",") if (parsed := _parse(part)) is not None]
    best = max(offers, key=lambda offer: _quality(offer, ranges))
    if _quality(best, ranges) > 0:
        return best
    raise NotAcceptableError(f"no answer is of the kinds in Accept: {accept!r}; ask for {' or '.join(offers)}")


def _quality(offer: str, ranges: Sequence[MediaRange]) -> float:
    """The most specific range that holds the offer decides, however small its q."""
    found = max(ranges, key=lambda each: each.specificity(offer), default=None)
    return found.quality if found is not None and found.specificity(offer) else 0.0


def _parse(part: str) -> MediaRange | None:
    """Return None for what is not a media range: a header's broken entry does not spoil the others."""
    media_range, *parameters = (piece.strip().lower() for piece in part.split(";"))
    kind, slash, subkind = media_range.partition("/")
    if not (kind and slash and subkind):
        return None
    weights = [value for name, _, value in (each.partition("=") for each in parameters) if name.strip() == "q"]
    try:
        quality = float(weights[0]) if weights else 1.0
    except ValueError:
        return None
    return MediaRange(kind, subkind, quality) if 0 <= quality <= 1 else None
