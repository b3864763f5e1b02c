"""The tags of a TIFF file's first page; EXIF data have the same form.

Source: TIFF revision 6.0, section 2.
"""

import struct
from collections.abc import Collection, Mapping

from tiles.errors import TruncatedImageError, UnsupportedModeError, damaged

SIGNATURES = (b"II*\0", b"MM\0*")
MAX_TAGS = 256
WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, FILL_ORDER, OFFSETS, ORIENTATION, SAMPLES, ROWS, COUNTS, PLANES = (
    256, 257, 258, 259, 262, 266, 273, 274, 277, 278, 279, 284,
)  # fmt: skip
PREDICTOR, SAMPLE_FORMAT = 317, 339
# How many values of a tag are read; of any other tag none are
MOST = {OFFSETS: 2**16, COUNTS: 2**16} | dict.fromkeys((
    WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, FILL_ORDER, ORIENTATION, SAMPLES, ROWS, PLANES, PREDICTOR,
    SAMPLE_FORMAT,
), 8)  # fmt: skip
KINDS = {1: "B", 3: "H", 4: "I"}  # of a tag's values: bytes, 16 bits, 32 bits
CONVERT = "save it as an 8-bit or 16-bit grey or RGB TIFF in strips, or convert it: magick photo.tif -depth 8 photo.png"


def orientation_of(exif: bytes) -> int:
    """Return the orientation in EXIF data, which have the form of a TIFF file; 1 if they say none."""
    try:
        return one(read_tags(exif, (ORIENTATION,)) or {}, ORIENTATION, 1)
    except (UnsupportedModeError, TruncatedImageError):
        return 1


def read_tags(data: bytes, wanted: Collection[int] = MOST) -> dict[int, tuple[int, ...]] | None:
    """Return the whole numbers of the first page's tags; None if the file ends before them.

    wanted: the tags that are read.

    Raises: UnsupportedModeError.
    """
    if not data.startswith(SIGNATURES):
        raise damaged("it has no header")
    order = "<" if data.startswith(b"II") else ">"
    at = _number(data, 4, "I", order)
    count = None if at is None else _number(data, at, "H", order)
    if at is None or count is None or len(data) < at + 2 + 12 * count:
        return None
    if count > MAX_TAGS:
        raise UnsupportedModeError(f"the TIFF file has {count} tags: {CONVERT}")
    tags: dict[int, tuple[int, ...]] = {}
    for place in range(at + 2, at + 2 + 12 * count, 12):
        tag, kind, values = struct.unpack_from(order + "HHI", data, place)
        if kind not in KINDS or tag in tags or tag not in wanted or values > MOST[tag]:
            continue
        layout = struct.Struct(f"{order}{values}{KINDS[kind]}")
        start = place + 8 if layout.size <= 4 else struct.unpack_from(order + "I", data, place + 8)[0]  # noqa: PLR2004  the field itself
        if start + layout.size > len(data):
            return None
        tags[tag] = layout.unpack_from(data, start)
    return tags


def more_pages(data: bytes) -> bool:
    """Say whether a file whose first page has tags has another page behind it."""
    order = "<" if data.startswith(b"II") else ">"
    at = _number(data, 4, "I", order) or 0
    count = _number(data, at, "H", order) or 0
    return bool(_number(data, at + 2 + 12 * count, "I", order))


def _number(data: bytes, at: int, kind: str, order: str) -> int | None:
    if at + struct.calcsize(kind) > len(data):
        return None
    number: int = struct.unpack_from(order + kind, data, at)[0]
    return number


def one(tags: Mapping[int, tuple[int, ...]], tag: int, default: int | None = None) -> int:
    """Return a tag's first value.

    Raises: TruncatedImageError, when it is missing and there is no default.
    """
    values = tags.get(tag)
    if values:
        return values[0]
    if default is None:
        raise damaged(f"its tag {tag} is missing")
    return default
