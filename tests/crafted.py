"""Image files that keep a decoder busy for long, each built from a few numbers."""

import struct
import zlib

import numpy as np

SOI, EOI = b"\xff\xd8", b"\xff\xd9"
PNG = b"\x89PNG\r\n\x1a\n"
# 16 times 15 bits: a code of one bit, and 14 bits that add to the 2**14 blocks without further coefficients.
LONG_RUNS = int(16 * ("0" + 14 * "1"), 2).to_bytes(30, "big").replace(b"\xff", b"\xff\0")


def segment(code, data=b""):
    """One segment of a JPEG: marker, length, data."""
    return bytes((0xFF, code)) + struct.pack(">H", len(data) + 2) + data


def frame(height, width, code=0xC2, sampling=(0x11,)):
    components = b"".join(bytes((number, factors, 0)) for number, factors in enumerate(sampling, 1))
    return segment(code, b"\x08" + struct.pack(">HHB", height, width, len(sampling)) + components)


def huffman(kind, *symbols):
    """A table whose codes are 0, 10, 110, …"""
    counts = bytes(1 if length < len(symbols) else 0 for length in range(16))
    return segment(0xC4, bytes((kind,)) + counts + bytes(symbols))


def scan(data, *names, first=0, last=0, bits=0):
    """A scan of these components, with the coefficients from first to last."""
    return segment(0xDA, bytes((len(names),)) + b"".join(bytes((name, 0)) for name in names)
                   + bytes((first, last, bits))) + data  # fmt: skip


def jpeg(*parts):
    tables = segment(0xDB, b"\0" + 64 * b"\1") + huffman(0x00, 0, 1) + huffman(0x10, 0xE0, 0x00)
    return SOI + tables + b"".join(parts) + EOI


def jpeg_of_scans(height, width, scans, *, refining=True, sampling=(0x11,), data=LONG_RUNS):
    """A progressive JPEG whose scans hold next to nothing, but each is a pass over all blocks."""
    bits = 0x10 if refining else 0x00
    passes = [scan(data, 1 + number % len(sampling), first=1, last=63, bits=bits) for number in range(scans)]
    return jpeg(frame(height, width, sampling=sampling), scan(b"\0" * 64, *range(1, 1 + len(sampling))), *passes)


def chunk(name, data=b""):
    """One chunk of a PNG: its data's length, its name, its data, their sum."""
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(height, width, *, bits=8, colour=0, interlaced=0, before=b"", pixels=None, chunk_bytes=2**30, after=b""):
    """A PNG of zeros, or of these compressed pixels; `before` and `after` are chunks beside them."""
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    if pixels is None:
        pixels = zlib.compress(height * (b"\4" + bytes(-(-width * channels * bits // 8))), 9)
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, interlaced)
    parts = b"".join(chunk(b"IDAT", pixels[at : at + chunk_bytes]) for at in range(0, len(pixels), chunk_bytes))
    return PNG + chunk(b"IHDR", header) + before + parts + after + chunk(b"IEND")


def empty_blocks(size):
    """Deflated data of so many bytes that are tables without a byte of pixels: the slowest to inflate."""
    # dynamic block: 257 literals, 1 distance, 18 code lengths; all lengths by codes of one bit; then end of block
    bits = _dynamic_block()
    count = 8 * (size - 8) // len(bits)
    stream = bits * count
    stream += "0" * (-len(stream) % 8)
    body = int(stream[::-1], 2).to_bytes(len(stream) // 8, "little")
    return b"\x78\x01" + body


def _dynamic_block():
    """One empty block with tables of its own, as the bits in their order."""
    order = (16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15)
    lengths = {18: 1, 1: 2, 0: 2}  # code lengths' codes: 138 zeros, a one, a zero
    last = max(order.index(symbol) for symbol in lengths)

    def number(value, width):
        return "".join(str(value >> place & 1) for place in range(width))

    codes = {18: "0", 0: "10", 1: "11"}
    head = "0" + "01" + number(0, 5) + number(0, 5) + number(last + 1 - 4, 4)
    head += "".join(number(lengths.get(symbol, 0), 3) for symbol in order[: last + 1])
    zeros = codes[18] + number(138 - 11, 7) + codes[18] + number(118 - 11, 7)  # 256 literals that never come
    return head + zeros + codes[1] + codes[1] + "0"


def tiff(height, width, strips, *, bits=8, samples=1, compression=1, rows=None, predictor=1, repeated=1, more=()):
    """A TIFF of these strips; `repeated`: the tags name each strip so often. `more`: further (tag, kind, value)."""
    data = b"".join(strips)
    offsets = [sum(map(len, strips[:number])) for number in range(len(strips))] * repeated
    counts = list(map(len, strips)) * repeated
    tags = [(256, 4, width), (257, 4, height), (258, 3, bits), (259, 3, compression),
            (262, 3, 1 if samples == 1 else 2), (277, 3, samples), (278, 4, rows or height), (317, 3, predictor),
            *more]  # fmt: skip
    at = 8 + 2 + 12 * (len(tags) + 2) + 4
    lists = b""
    written = b"".join(struct.pack("<HHIHH" if kind == 3 else "<HHII", tag, kind, 1, value, *(0,) * (kind == 3))
                       for tag, kind, value in tags)  # fmt: skip
    base = at + 8 * len(offsets)
    for tag, values in ((273, [base + each for each in offsets]), (279, counts)):
        packed = struct.pack(f"<{len(values)}I", *values)
        place = values[0] if len(values) == 1 else at + len(lists)
        written += struct.pack("<HHII", tag, 4, len(values), place)
        lists += packed
    return struct.pack("<4sIH", b"II*\0", 8, len(tags) + 2) + written + bytes(4) + lists + data


def tiff_of_shared_lists(height, strips):
    """A TIFF one pixel wide whose strips' offsets and sizes are the same bytes."""
    at = 8 + 2 + 12 * 9 + 4
    lists = [(273, 3, strips, at), (279, 3, strips, at)]
    numbers = [(256, 4, 1, 1), (257, 4, 1, height), (258, 4, 1, 8), (259, 4, 1, 1), (262, 4, 1, 1), (277, 4, 1, 1),
               (278, 4, 1, 1)]  # fmt: skip
    written = b"".join(struct.pack("<HHII", *each) for each in sorted(numbers + lists))
    return struct.pack("<4sIH", b"II*\0", 8, 9) + written + bytes(4) + struct.pack("<H", 257) * strips


def lzw_clears(size):
    """So many bytes of LZW codes that clear the table before each pixel: the slowest to expand."""
    pair = "100000000" + "000000001"  # the code that clears, a pixel; nine bits each
    bits = pair * (8 * size // len(pair))
    return int(bits.ljust(8 * size, "0"), 2).to_bytes(size, "big")


def bmp_of_indices(indices, greys):
    """A BMP of 8 bits a pixel, each of which names one of the greys. Shapes: indices (H, W)."""
    height, width = indices.shape
    rows = np.pad(indices[::-1].astype(np.uint8), ((0, 0), (0, -width % 4))).tobytes()
    palette = b"".join(struct.pack("<BBBx", grey, grey, grey) for grey in greys)
    start = 54 + len(palette)
    head = struct.pack("<2sIHHI", b"BM", start + len(rows), 0, 0, start)
    return (
        head + struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 0, len(rows), 0, 0, len(greys), 0) + palette + rows
    )


def bmp(height, width, *, bits=24):
    rows = bytes(-(-width * bits // 32) * 4 * height)
    palette = bytes(1024) if bits == 8 else b""
    start = 54 + len(palette)
    return (
        struct.pack("<2sIHHI", b"BM", start + len(rows), 0, 0, start)
        + struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, 0, len(rows), 0, 0, 0, 0)
        + palette
        + rows
    )
