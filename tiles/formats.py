"""Which format a file has: one that is read, a damaged one of those, or one that must be converted."""

from typing import Protocol

from tiles import bmp, jpeg, png, tiff, tiff_tags
from tiles.budget import Budget
from tiles.errors import NotAnImageError, TruncatedImageError
from tiles.structure import Essence, Size

READ = "JPEG, PNG, TIFF and BMP"
SIGNATURES = (jpeg.SIGNATURE, png.SIGNATURE, *tiff_tags.SIGNATURES, bmp.SIGNATURE)
# What is left of a signature in a damaged file, and where
BROKEN = (("JPEG", 0, b"\xff\xd8"), ("PNG", 1, b"PNG"), ("PNG", 0, b"PNG\r\n"))
OTHERS = (  # files that people have and that are not read: name, usual ending, what stands where
    ("WebP", "webp", 8, b"WEBP"),
    ("GIF", "gif", 0, b"GIF8"),
    ("HEIF", "heic", 4, b"ftyphei"),
    ("AVIF", "avif", 4, b"ftypavi"),
    ("JPEG 2000", "jp2", 0, b"\0\0\0\x0cjP"),
    ("BigTIFF", "tif", 0, b"II+\0"),
    ("PDF", "pdf", 0, b"%PDF"),
)


class Format(Protocol):
    """A module that reads one kind of file."""

    def size_of(self, start: bytes) -> Size | None:
        """Return the declared size; None if these bytes end before it."""

    def essence(self, data: bytes, budget: Budget) -> Essence:
        """Check the structure."""


def may_become_known(start: bytes) -> bool:
    """Return whether these first bytes are too few to tell the kind."""
    return any(signature.startswith(start) and signature != start for signature in SIGNATURES)


def require_format(data: bytes) -> Format:
    """Return the module that reads such a file.

    Raises: TruncatedImageError, NotAnImageError.
    """
    if data.startswith(jpeg.SIGNATURE):
        return jpeg
    if data.startswith(png.SIGNATURE):
        return png
    if data.startswith(tiff_tags.SIGNATURES):
        return tiff
    if data.startswith(bmp.SIGNATURE):
        return bmp
    for name, at, rest in BROKEN:
        if data.startswith(rest, at):
            raise TruncatedImageError(f"the {name} image is damaged (its first bytes are wrong): send the whole file")
    for name, ending, at, mark in OTHERS:
        if data.startswith(mark, at):
            raise NotAnImageError(
                f"the file is {name}, but {READ} are read: convert it, for example: magick photo.{ending} photo.png"
            )
    raise NotAnImageError(f"the file is not an image of a known format: send {READ.replace('and', 'or')}")
