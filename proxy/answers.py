"""The network's output for one image → the client's answer: the mask and its figures, as JSON or PNG."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import orjson

import tiles
from proxy.errors import SegmenterAnswerError
from proxy.segmenter import Segmentation
from proxy.served_model import ServedModel


@dataclass(frozen=True)
class Analysis:
    """One image's mask and figures.

    Attributes:
        mask: (H, W) bool, True where defective, as high and wide as the upload.
        score: the image's defect score, 0–1.
        type_pixels: number of defective pixels by defect type, for every type that the model knows.
        model: the model that segmented the image.
    """

    mask: np.ndarray
    score: float
    type_pixels: Mapping[str, int]
    model: ServedModel

    @property
    def defect_pixels(self) -> int:
        """Number of defective pixels."""
        return sum(self.type_pixels.values())

    @property
    def majority_type(self) -> str | None:
        """The defect type with the most pixels; None for an image without a defect."""
        return max(self.type_pixels, key=self.type_pixels.__getitem__) if self.defect_pixels else None


class Representation(NamedTuple):
    """An answer's body and its additional headers."""

    body: bytes
    headers: Mapping[str, str]


def summarize(segmentation: Segmentation, height: int, width: int) -> Analysis:
    """Crop off the padding, apply the model's own operating point and count the pixels of each defect type.

    Shapes: segmentation (1, H32, W32) uint8; height and width in pixels are the upload's.
    Raises: SegmenterAnswerError where a defective pixel has a defect type that the model does not name.
    """
    model = segmentation.model
    probability = tiles.crop(segmentation.probability, height, width)  # (H, W)
    mask, score = model.operating_point.mask_and_score(probability)
    numbers = tiles.crop(segmentation.defect_type, height, width)[mask]  # (defective pixels,), counted from 1
    counts = np.bincount(numbers, minlength=len(model.defect_types) + 1).tolist()  # counts[0]: pixels without a type
    if counts[0] or len(counts) > len(model.defect_types) + 1:
        raise SegmenterAnswerError(
            f"Triton's output 'type' has values from {numbers.min()} to {numbers.max()}, but the model names the types "
            f"1 to {len(model.defect_types)}: publish the model again together with its configuration"
        )
    type_pixels = dict(zip(model.defect_types, counts[1:], strict=True))
    return Analysis(mask, score, type_pixels, model)


def represent_json(analysis: Analysis) -> Representation:
    """Return all figures, and last the mask as `pred`: a list of rows of 0 and 1."""
    height, width = analysis.mask.shape
    document = {
        "width": width,
        "height": height,
        "defective": analysis.defect_pixels > 0,
        "defect_pixels": analysis.defect_pixels,
        "score": analysis.score,
        "alarm_score": analysis.model.operating_point.alarm_score,
        "threshold": analysis.model.operating_point.threshold,
        "type": analysis.majority_type,
        "types": analysis.type_pixels,
        "model": describe_model(analysis.model),
        "pred": analysis.mask.view(np.uint8),  # as bool it would be written as true and false
    }
    return Representation(orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY), {})


def represent_png(analysis: Analysis) -> Representation:
    """Return the mask as a 1-bit image, white where defective, and the figures as headers."""
    headers = {
        "Tile-Defective": "true" if analysis.defect_pixels else "false",
        "Tile-Defect-Pixels": str(analysis.defect_pixels),
        "Tile-Score": str(analysis.score),
        "Tile-Alarm-Score": str(analysis.model.operating_point.alarm_score),
        "Tile-Threshold": str(analysis.model.operating_point.threshold),
        "Tile-Type": analysis.majority_type or "none",
        "Tile-Model": f"{analysis.model.name}/{analysis.model.version}",
    }
    return Representation(tiles.encode_mask_png(analysis.mask), headers)


def describe_model(model: ServedModel) -> dict[str, Any]:
    """Return the model's name and version, its commit where it is known, and `dirty` where that does not tell all."""
    commit = {"commit": model.commit} if model.commit else {}
    dirty = {"dirty": True} if model.dirty else {}
    return {"name": model.name, "version": model.version, **commit, **dirty}


REPRESENTATIONS: Mapping[str, Callable[[Analysis], Representation]] = {
    "application/json": represent_json,  # the first is the default
    "image/png": represent_png,
}
