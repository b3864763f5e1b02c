"""PNG: which chunks make the pixels, and how much work they are once they are inflated.

Source: the PNG specification (W3C), sections 5 and 11.
"""

import struct
import zlib
from collections.abc import Iterator

from tiles.budget import Budget
from tiles.errors import damaged
from tiles.structure import Essence, Size
from tiles.tiff_tags import orientation_of

SIGNATURE = b"\x89PNG\r\n\x1a\n"
HEADER_END = len(SIGNATURE) + 25  # of the first chunk: length, name, 13 bytes, sum
PALETTE = 3  # the colour type
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by colour type
END_CHUNK = b"\0\0\0\0IEND\xaeB`\x82"
HEADER = struct.Struct(">IIBBBBB")  # the first chunk's data: width, height, bits, colour type, …, interlaced
CHUNK_HEAD = struct.Struct(">I4s")  # the length of its data, its name
CHUNKS_A_CHECK = 256
INFLATED_AT_ONCE = 2048  # bytes of compressed pixels, between two looks at the budget: they become 2 MB at most
# Of an interlaced image, the pixels of each pass: the first column and row, and the steps between columns and rows
ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
PLAIN = ((0, 0, 1, 1),)
EXIF_BYTES = 2**16  # as much as a JPEG can have
# Upper bounds in seconds; tests/test_crafted_images.py holds them against the slowest files that were found.
BYTE_S = 6e-9  # of inflated pixels: unfilter and unpack
INTERLACED_BYTE_S = 12e-9
PIXEL_S = 8e-9  # convert to grey


def size_of(start: bytes) -> Size | None:
    """Return the size that the first bytes of a file declare; None if they end before its header."""
    if len(start) < HEADER_END:
        return None
    return Size(int.from_bytes(start[20:24], "big"), int.from_bytes(start[16:20], "big"))


def essence(data: bytes, budget: Budget) -> Essence:
    """Return the file without metadata.

    Raises: TruncatedImageError, TooMuchWorkError.
    """
    size = size_of(data)
    if size is None or data[8:16] != b"\0\0\0\rIHDR":
        raise damaged("it has no header")
    bits, colour, interlaced = data[24], data[25], data[28]
    palette, at, orientation = b"", HEADER_END, 1
    for number, (name, start, end) in enumerate(_chunks(data, HEADER_END), 1):
        if number % CHUNKS_A_CHECK == 0:
            budget.check()
        if name == b"IDAT":
            at = start
            break
        if name == b"eXIf":
            orientation = orientation_of(data[start + 8 : min(end - 4, start + EXIF_BYTES)])
        if name == b"PLTE" and end - start <= 12 + 3 * 256:  # its colours, at most
            palette = data[start:end]
    else:
        raise damaged("it has no pixels")
    if colour == PALETTE and not palette:
        raise damaged("it has no palette")
    row_bytes = 1 + -(-size.width * CHANNELS.get(colour, 4) * bits // 8)
    work_s = size.height * (row_bytes * (INTERLACED_BYTE_S if interlaced else BYTE_S) + size.width * PIXEL_S)
    return Essence(data[:HEADER_END] + palette + _pixels(data, at, budget), size, work_s, orientation)


def _pixels(data: bytes, at: int, budget: Budget) -> bytes:
    """Return the chunks of pixels that begin at `at`, and the end's; only the former if the file ends with them.

    Their checksums are compared here: Pillow does not compare them, and makes pixels of zeros, too.

    Raises: TruncatedImageError, TooMuchWorkError.
    """
    view = memoryview(data)
    for number, (name, start, end) in enumerate(_chunks(data, at), 1):
        if number % CHUNKS_A_CHECK == 0:
            budget.check()
        if name != b"IDAT":
            return data[at:start] + END_CHUNK
        if zlib.crc32(view[start + 4 : end - 4]) != int.from_bytes(view[end - 4 : end], "big"):
            raise damaged("the checksum of its pixels is wrong")
    return data[at:]


def require_all_rows(data: bytes, budget: Budget) -> None:
    """Refuse an image whose compressed pixels end between two rows: Pillow makes black rows of those that are missing.

    data: the file without metadata, which Pillow could decode.

    Raises: TruncatedImageError, TooMuchWorkError.
    """
    missing, inflater = _inflated_bytes(data), zlib.decompressobj()
    for piece in _compressed(data):
        budget.check()
        try:
            missing -= len(inflater.decompress(piece, missing))  # no more than the rows have
        except zlib.error as error:
            raise damaged(str(error)) from None
        if not missing:
            return
        if inflater.eof:  # what follows would be copied for each piece
            break
    raise damaged(f"the last {missing} bytes of its pixels are missing")


def _compressed(data: bytes) -> Iterator[bytes]:
    """Give the compressed pixels in pieces."""
    for name, start, end in _chunks(data, HEADER_END):
        if name == b"IDAT":
            for at in range(start + 8, end - 4, INFLATED_AT_ONCE):
                yield data[at : min(at + INFLATED_AT_ONCE, end - 4)]


def _inflated_bytes(data: bytes) -> int:
    """Return how many bytes the rows have, each with a byte for its filter."""
    width, height, bits, colour, _, _, interlaced = HEADER.unpack_from(data, len(SIGNATURE) + 8)
    total = 0
    for left, top, across, down in ADAM7 if interlaced else PLAIN:
        columns, rows = -(-(width - left) // across), -(-(height - top) // down)
        if columns > 0:
            total += max(0, rows) * (1 + -(-columns * CHANNELS[colour] * bits // 8))
    return total


def _chunks(data: bytes, at: int) -> Iterator[tuple[bytes, int, int]]:
    """Give each chunk's name, where it starts, and where the next one does."""
    while len(data) >= at + 8:
        length, name = CHUNK_HEAD.unpack_from(data, at)
        yield name, at, at + 12 + length
        at += 12 + length
