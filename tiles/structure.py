"""A file's structure, read before any decoder sees it: its size, what of it are pixels, and the work they take.

Metadata never reaches the decoder: parsing it is where crafted files cost most, and no pixel depends on it. What is
left is one file of the same pixels.
"""

from typing import NamedTuple


class Size(NamedTuple):
    """An image's size in pixels, as its file declares it."""

    height: int
    width: int


class Essence(NamedTuple):
    """A file reduced to its pixels.

    Attributes:
        data: a JPEG, PNG or BMP file without metadata; a TIFF file as it came, of which only the pixels are read.
        size: as declared.
        work_s: an upper bound of the processor time that a decoder takes; for a PNG without the time to inflate it,
            which depends on how it was compressed; the same holds for a TIFF file.
        orientation: EXIF's, 1–8; 1 is upright.
        more_pages: whether the file has more images behind the first.
    """

    data: bytes
    size: Size
    work_s: float
    orientation: int = 1
    more_pages: bool = False
