"""How large a check is: on the GPU, or small and on the CPU in its place."""

from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
S = TypeVar("S")


@dataclass(frozen=True)
class Scope:
    """What every part is told.

    Attributes:
        small: the CPU takes the GPU's place, with few steps and images: it shows that a part works, not how fast.
        folder: where a part keeps what it continues from.
    """

    small: bool
    folder: Path

    @property
    def device(self) -> str:
        """The device's name in torch."""
        return "cpu" if self.small else "cuda"

    def size(self, full: T, *, small: S) -> T | S:
        """Return one of two sizes."""
        return small if self.small else full
