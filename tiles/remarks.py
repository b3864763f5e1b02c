"""What a person should know of a file that was decoded all the same: a code for programs, a sentence for people."""

from typing import NamedTuple

import numpy as np

TWELVE_BITS = 4096
TURNED = range(2, 9)  # the EXIF orientations of images that are not stored as they are to be seen
COLOUR_LEVELS = 24  # of 255, by which the channels of a colour image differ clearly


class Remark(NamedTuple):
    """A warning: its code and what to do."""

    code: str
    detail: str


def dark(levels: np.ndarray) -> list[Remark]:
    """Remark on 16-bit pixels that use so few bits that their upper eight say nothing. Shapes: (H, W) uint16."""
    highest = int(levels.max())
    if not 0 < highest < TWELVE_BITS:
        return []
    return [
        Remark(
            "dark-16-bit",
            f"the highest of the 16-bit values is {highest}, so the image is nearly black: scale the values to 0–65535 "
            "(12-bit values: times 16), or save them with 8 bits",
        )
    ]


def turned(orientation: int) -> list[Remark]:
    """Remark on an EXIF orientation, 1–8; others mean nothing, and some devices write 0."""
    if orientation not in TURNED:
        return []
    return [
        Remark(
            "exif-orientation",
            f"the EXIF orientation {orientation} is not applied: the mask has the stored width and height; turn the "
            "pixels themselves if the tile lies on its side",
        )
    ]


def first_of_several() -> Remark:
    """Remark on a file with several pages."""
    return Remark(
        "several-pages",
        "the file has several pages, and only the first was read: save each page as a file of its own",
    )


def coloured(difference: int) -> list[Remark]:
    """Remark on a colour image whose channels differ by so many levels."""
    if difference < COLOUR_LEVELS:
        return []
    return [
        Remark(
            "colour",
            "the image is in colour and was turned into grey: the model was trained with grey photographs",
        )
    ]
