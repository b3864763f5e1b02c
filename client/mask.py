"""The mask of an image, as the service sends it: run lengths.

Source: COCO's uncompressed run lengths, {"size": [height, width], "counts": [...]}; columns from left to right, each
from top to bottom, sound pixels first.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Mask:
    """Which pixels of an image are defective.

    `numpy.asarray(mask)` is an array (height, width) of bool. `mask.rows()` needs no numpy.

    Attributes:
        counts: lengths of the runs of equal pixels.
    """

    width: int
    height: int
    counts: tuple[int, ...]

    def __post_init__(self) -> None:
        if sum(self.counts) != self.width * self.height or min(self.counts, default=0) < 0:
            raise ValueError(f"runs of {sum(self.counts)} pixels do not fill {self.width} x {self.height}")

    @property
    def rle(self) -> dict[str, Sequence[int]]:
        """The same as pycocotools' `frPyObjects` takes it."""
        return {"size": [self.height, self.width], "counts": list(self.counts)}

    def columns(self, *, sound: bytes = b"\0", defective: bytes = b"\1") -> bytes:
        """Return one byte a pixel, column by column."""
        return b"".join([(defective if place % 2 else sound) * run for place, run in enumerate(self.counts)])

    def rows(self) -> list[bytes]:
        """Return one `bytes` a row, in which a sound pixel is 0 and a defective one 1."""
        columns = self.columns()
        return [columns[row :: self.height] for row in range(self.height)]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> "np.ndarray[Any, Any]":
        """Return the mask as numpy asks for it: (height, width) bool."""
        import numpy as np  # noqa: PLC0415  only numpy itself calls this

        pixels = np.frombuffer(self.columns(), np.bool_).reshape(self.width, self.height).T
        return np.array(pixels, dtype=dtype, copy=copy is not False)  # before numpy 2, None was no answer
