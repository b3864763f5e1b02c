"""The network's output for one image → what it says of the image: mask, figures, verdict."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

import tiles
from proxy.errors import SegmenterAnswerError
from proxy.regions import Labels, Region, label_regions, measure_regions
from proxy.segmentation import Segmentation
from proxy.served_model import ServedModel
from tiles.operating_point import OperatingPoint, level_of, probability_of, verdict_of


class PointOverride(NamedTuple):
    """What one request changes of the model's operating point; both are 0–1, None keeps the model's."""

    threshold: float | None = None
    alarm_score: float | None = None

    def point(self, model: ServedModel) -> OperatingPoint:
        """Return the operating point to judge by."""
        own = model.operating_point
        return OperatingPoint(
            own.threshold if self.threshold is None else level_of(self.threshold),
            own.alarm_score if self.alarm_score is None else self.alarm_score,
        )


UNCHANGED = PointOverride()


@dataclass(frozen=True)
class Analysis:
    """What is found in one image.

    Attributes:
        probability: (H, W) uint8, P(defect) · 255, as high and wide as the upload.
        defect_type: (H, W) uint8, the most likely type of each pixel, counted from 1.
        mask: (H, W) bool, True where defective.
        score: the image's defect score, 0–1.
        point: the operating point that was used.
        threshold: its threshold as a client reads it, 0–1.
        type_pixels: number of defective pixels by defect type, for every type that the model knows.
        novelty: the larger, the less the image is like the training tiles; None if it is not a finite number.
        model: the model that segmented the image.
    """

    probability: np.ndarray
    defect_type: np.ndarray
    mask: np.ndarray
    score: float
    point: OperatingPoint
    threshold: float
    type_pixels: Mapping[str, int]
    novelty: float | None
    model: ServedModel

    @property
    def defective(self) -> bool:
        """Whether the score reaches the alarm score."""
        return self.score >= self.point.alarm_score

    @property
    def verdict(self) -> str:
        """`defect`, `review` or `ok`."""
        return verdict_of(self.score, self.point.alarm_score, self.model.review_score)

    @property
    def familiar(self) -> bool:
        """Whether the image is like the training tiles."""
        return self.novelty is not None and self.novelty <= self.model.novelty_limit

    @cached_property
    def defect_pixels(self) -> int:
        """Number of defective pixels."""
        return sum(self.type_pixels.values())

    @property
    def majority_type(self) -> str | None:
        """The defect type with the most pixels; None for an image without a defect."""
        return majority(self.type_pixels)

    @cached_property
    def labels(self) -> Labels | None:
        """Which pixel belongs to which region; None for a mask without a pixel, which most are."""
        return label_regions(self.mask) if self.defect_pixels else None

    @cached_property
    def regions(self) -> Sequence[Region]:
        """The connected regions of the mask, the highest score first."""
        return () if self.labels is None else measure_regions(self.labels, self.probability, self.defect_type)


def majority(type_pixels: Mapping[str, int]) -> str | None:
    """Return the type with the most pixels, the first of equals; None if there are no pixels."""
    best = max(type_pixels, key=type_pixels.__getitem__, default=None)
    return best if best is not None and type_pixels[best] else None


def summarize(segmentation: Segmentation, height: int, width: int, override: PointOverride = UNCHANGED) -> Analysis:
    """Crop off the padding, apply the operating point and count the pixels of each defect type.

    Shapes: segmentation (1, H32, W32) uint8; height and width in pixels are the upload's.
    Raises: SegmenterAnswerError where a defective pixel has a defect type that the model does not name.
    """
    model, point = segmentation.model, override.point(segmentation.model)
    probability = tiles.crop(segmentation.probability, height, width)  # (H, W)
    defect_type = tiles.crop(segmentation.defect_type, height, width)
    mask, score = point.mask_and_score(probability)
    novelty = float(segmentation.novelty[0])
    return Analysis(
        probability=probability,
        defect_type=defect_type,
        mask=mask,
        score=score,
        point=point,
        threshold=probability_of(point.threshold) if override.threshold is None else override.threshold,
        type_pixels=_count_types(defect_type[mask], model.defect_types),
        novelty=round(novelty, 4) if np.isfinite(novelty) else None,
        model=model,
    )


def _count_types(numbers: np.ndarray, names: Sequence[str]) -> dict[str, int]:
    """Return the pixels of each type. Shapes: numbers (defective pixels,), counted from 1."""
    counts = np.bincount(numbers, minlength=len(names) + 1).tolist()  # counts[0]: pixels without a type
    if counts[0] or len(counts) > len(names) + 1:
        raise SegmenterAnswerError(
            f"Triton's output 'type' has values from {numbers.min()} to {numbers.max()}, but the model names the types "
            f"1 to {len(names)}: publish the model again together with its configuration"
        )
    return dict(zip(names, counts[1:], strict=True))
