"""The images that calibrate int8 (they set the ranges of its values): training images of all types and exposures."""

import re
from collections.abc import Sequence
from itertools import chain, zip_longest

import numpy as np
from onnxruntime.quantization import CalibrationDataReader

from tiles import pad
from training.dataset.samples import Sample
from training.graphs.tensors import INPUT
from training.progress import counted


def choose_images(samples: Sequence[Sample], number: int, *, seed: int) -> list[Sample]:
    """Draw `number` samples: from every type in turn, and within it from every exposure in turn.

    Returns fewer if there are fewer.
    """
    rng = np.random.default_rng(seed)
    drawn = [samples[index] for index in rng.permutation(len(samples))]
    types = _grouped(drawn, [sample.entry.defect_type for sample in drawn])
    turns = [_in_turn(_grouped(group, [_exposure(sample) for sample in group])) for group in types]
    return _in_turn(turns)[:number]


def _exposure(sample: Sample) -> str:
    """Return the exposure in the image's name: exp1 of exp1_num_262480."""
    found = re.match(r"exp\d+", sample.entry.name)
    return found[0] if found else ""


def _grouped(samples: Sequence[Sample], keys: Sequence[str]) -> list[list[Sample]]:
    pairs = list(zip(samples, keys, strict=True))
    return [[sample for sample, other in pairs if other == key] for key in sorted(set(keys))]


def _in_turn(groups: Sequence[Sequence[Sample]]) -> list[Sample]:
    return [sample for sample in chain.from_iterable(zip_longest(*groups)) if sample is not None]


class CalibrationImages(CalibrationDataReader):  # type: ignore[misc]  # the library has no types
    """Gives the images to ONNX Runtime's quantizer one by one: at native size, or all cut and padded to one size.

    side: of a square, in pixels. The methods that make histograms put all images into one array.
    """

    def __init__(self, samples: Sequence[Sample], *, side: int | None = None) -> None:
        images = (sample.image if side is None else _square(sample.image, side) for sample in samples)
        canvases = (pad(image)[np.newaxis] for image in images)  # (1, 1, H32, W32) each
        self._canvases = counted(canvases, "calibration", len(samples))

    def get_next(self) -> dict[str, np.ndarray] | None:
        """Return the next input of the graph, or None after the last."""
        canvas = next(self._canvases, None)
        return None if canvas is None else {INPUT: canvas}


def _square(image: np.ndarray, side: int) -> np.ndarray:
    cut = image[:side, :side]
    return np.pad(cut, [(0, side - length) for length in cut.shape], mode="edge")
