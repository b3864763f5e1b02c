"""An analysis together with what its request brought, and its figures by their names."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from proxy.analysis import Analysis
from proxy.regions import Region
from proxy.served_model import ServedModel
from tiles.operating_point import probability_of
from tiles.remarks import Remark

STRANGE = Remark(
    "unfamiliar",
    "the image is unlike the tiles that the model was trained with, so its answer may mean nothing: check that it "
    "shows one tile, sharp, upright and as bright as usual",
)


@dataclass(frozen=True)
class Report:
    """All that an answer is made of.

    Attributes:
        analysis: what is found.
        image: (H, W) uint8, the decoded upload.
        remarks: on the file.
        sha256: of the model's file, where it is known.
        part: the part's name, as the client gave it.
    """

    analysis: Analysis
    image: np.ndarray
    remarks: Sequence[Remark] = ()
    sha256: str | None = None
    part: str | None = None

    @property
    def warnings(self) -> list[Remark]:
        """The remarks on the file and on the image."""
        return [*self.remarks, *([] if self.analysis.familiar else [STRANGE])]

    def of_part(self, part: str | None) -> Self:
        """Return the same with the part's name."""
        return self if part is None else replace(self, part=part)


def figures(report: Report) -> dict[str, Any]:
    """Return an image's figures as JSON has them, without part, model and mask."""
    analysis = report.analysis
    height, width = analysis.mask.shape
    names = analysis.model.defect_types
    return {
        "width": width,
        "height": height,
        "verdict": analysis.verdict,
        "defective": analysis.defective,
        "defect_pixels": analysis.defect_pixels,
        "score": analysis.score,
        "alarm_score": analysis.point.alarm_score,
        "threshold": analysis.threshold,
        "type": analysis.majority_type,
        "types": analysis.type_pixels,
        "defects": [describe_region(each, names) for each in analysis.regions],
        "novelty": analysis.novelty,
        "familiar": analysis.familiar,
        "warnings": [remark._asdict() for remark in report.warnings],
    }


def describe_region(region: Region, names: Sequence[str]) -> dict[str, Any]:
    """Return one entry of `defects`."""
    x, y, width, height = region.box
    return {
        "type": names[region.type_number - 1],
        "score": region.score,
        "area": region.area,
        "box": {"x": x, "y": y, "width": width, "height": height},
        "centroid": {"x": region.centroid[0], "y": region.centroid[1]},
    }


def describe_model(model: ServedModel, sha256: str | None) -> dict[str, Any]:
    """Return what a client should know of a model; limits for review and a title only where it has them."""
    point = model.operating_point
    optional = {
        "review_score": model.review_score,
        "tile_review_score": model.tile_review_score,
        "title": model.title,
    }
    return {
        "name": model.name,
        "version": model.version,
        "sha256": sha256,
        "commit": model.commit,
        "dirty": model.dirty,
        "data": model.data,
        "threshold": probability_of(point.threshold),
        "alarm_score": point.alarm_score,
        "tile_alarm_score": model.tile_alarm_score,
        "novelty_limit": model.novelty_limit,
        **{name: value for name, value in optional.items() if value is not None},
        "types": model.defect_types,
    }
