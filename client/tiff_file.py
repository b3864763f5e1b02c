"""TIFF files, changed so that Pillow shows their pixels as they are stored.

Pillow turns such an image as its tags say, inverts some kinds of it and refuses others.

Source: TIFF revision 6.0, section 2.
"""

import struct

TIFF_SIGNATURES = (b"II*\0", b"MM\0*")
PHOTOMETRIC, ORIENTATION = 262, 274
SHORT = 3
ENTRY_BYTES = 12


def plain_tiff(data: bytes) -> tuple[bytes, bool]:
    """Return a file with the same pixels, not turned and black where it is zero; and whether it was white there.

    Raises: ValueError, if the file is damaged.
    """
    plain, order, white_is_zero = bytearray(data), "<" if data.startswith(b"II") else ">", False
    try:
        (start,) = struct.unpack_from(f"{order}I", data, 4)
        (count,) = struct.unpack_from(f"{order}H", data, start)
        for place in range(start + 2, start + 2 + count * ENTRY_BYTES, ENTRY_BYTES):
            tag, _kind, _count, value = struct.unpack_from(f"{order}HHI4s", data, place)
            inverted = tag == PHOTOMETRIC and not any(value)
            if inverted or tag == ORIENTATION:
                struct.pack_into(f"{order}HIHH", plain, place + 2, SHORT, 1, 1, 0)
            white_is_zero = white_is_zero or inverted
    except struct.error as error:
        raise ValueError(f"the TIFF file is damaged: {error}") from None
    return bytes(plain), white_is_zero
