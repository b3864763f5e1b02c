"""What the network said of a tile → what the client gets: the mask and its figures, as JSON or PNG."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import orjson

import tiles
from proxy.contract import ModelContract
from proxy.encoding import encode_json, encode_png
from proxy.errors import SegmenterAnswerError
from proxy.segmenter import Segmentation
from tiles.operating_point import SCORE_PIXELS, OperatingPoint, score


@dataclass(frozen=True)
class Analysis:
    """One tile's mask and figures.

    Attributes:
        mask: (H, W) bool, True where defective, as high and wide as the upload.
        score: the tile's defect score, 0–1.
        type_pixels: defective pixels by type name, every type that the model knows.
        contract: the model that said so.
    """

    mask: np.ndarray
    score: float
    type_pixels: Mapping[str, int]
    contract: ModelContract

    @property
    def defect_pixels(self) -> int:
        """Number of defective pixels."""
        return sum(self.type_pixels.values())

    @property
    def majority_type(self) -> str | None:
        """The type with the most defective pixels; None on a tile without a defect."""
        return max(self.type_pixels, key=self.type_pixels.__getitem__) if self.defect_pixels else None


class Representation(NamedTuple):
    """An answer's body and the headers that go with it."""

    body: bytes
    headers: Mapping[str, str]


def summarize(segmentation: Segmentation, height: int, width: int, contract: ModelContract) -> Analysis:
    """Crop the padding off, apply the operating point and count.

    Shapes: segmentation (1, H32, W32) uint8.
    Raises: SegmenterAnswerError where a defective pixel has a type that the model does not name.
    """
    probability = tiles.crop(segmentation.probability, height, width)
    mask, tile_score = decide(contract.operating_point, probability)
    found = tiles.crop(segmentation.defect_type, height, width)[mask]
    counts = np.bincount(found, minlength=len(contract.types) + 1).tolist()
    if counts[0] or len(counts) > len(contract.types) + 1:
        raise SegmenterAnswerError(
            f"Triton's output 'type' has values from {found.min()} to {found.max()}: "
            f"the model names 1 to {len(contract.types)}"
        )
    type_pixels = dict(zip(contract.types, counts[1:], strict=True))
    return Analysis(mask, tile_score, type_pixels, contract)


def decide(point: OperatingPoint, probability: np.ndarray) -> tuple[np.ndarray, float]:
    """Return `point.mask(probability)` and `score(probability)`, which both look for the highest of all pixels, faster.

    Shapes: probability (H, W) uint8.
    """
    highest = _highest(probability)
    if point.mask(highest).any():  # a tile is defective by its highest pixels alone
        return probability >= point.threshold, score(highest)
    return np.zeros(probability.shape, bool), score(highest)


def _highest(probability: np.ndarray) -> np.ndarray:
    """Return the SCORE_PIXELS highest pixels of a tile, or all where it is a very narrow one.

    So many columns have a pixel as high as `floor`, thus so many pixels are as high, and no lower one is among them.
    """
    columns = probability.max(axis=0)
    if columns.size < SCORE_PIXELS:
        return probability
    floor = max(1, np.partition(columns, -SCORE_PIXELS)[-SCORE_PIXELS])
    zeros = np.zeros(SCORE_PIXELS, np.uint8)  # where fewer are above 0; a tile has many of them
    return np.partition(np.concatenate([probability[probability >= floor], zeros]), -SCORE_PIXELS)[-SCORE_PIXELS:]


def represent_json(analysis: Analysis) -> Representation:
    """Return every figure, and last the mask as `pred`: a list of rows of 0 and 1."""
    height, width = analysis.mask.shape
    document = {
        "width": width,
        "height": height,
        "defective": analysis.defect_pixels > 0,
        "defect_pixels": analysis.defect_pixels,
        "score": analysis.score,
        "alarm_score": analysis.contract.operating_point.alarm_score,
        "threshold": analysis.contract.operating_point.threshold,
        "type": analysis.majority_type,
        "types": analysis.type_pixels,
        "model": describe_model(analysis.contract),
    }
    figures = orjson.dumps(document).removesuffix(b"}")
    return Representation(b"".join([figures, b',"pred":[', encode_json(analysis.mask), b"]}"]), {})


def represent_png(analysis: Analysis) -> Representation:
    """Return the mask as a 1-bit image, white where defective, and the figures as headers."""
    headers = {
        "Tile-Defective": "true" if analysis.defect_pixels else "false",
        "Tile-Defect-Pixels": str(analysis.defect_pixels),
        "Tile-Score": str(analysis.score),
        "Tile-Alarm-Score": str(analysis.contract.operating_point.alarm_score),
        "Tile-Threshold": str(analysis.contract.operating_point.threshold),
        "Tile-Type": analysis.majority_type or "none",
        "Tile-Model": f"{analysis.contract.name}/{analysis.contract.version}",
    }
    return Representation(encode_png(analysis.mask), headers)


def describe_model(contract: ModelContract) -> dict[str, Any]:
    """Return the model's name and version, and its commit where it is known."""
    commit = {"commit": contract.commit} if contract.commit else {}
    return {"name": contract.name, "version": contract.version, **commit}


REPRESENTATIONS: Mapping[str, Callable[[Analysis], Representation]] = {
    "application/json": represent_json,  # the first is the default
    "image/png": represent_png,
}
