"""What the images say about params.yaml: the lines that a user may copy."""

import json
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from tiles.canvas import STRIDE
from training.dataset.index import FREE, Entry
from training.dataset.split import assign_folds, refuse_lacking
from training.errors import DatasetError
from training.params import Params

LARGEST_CROP = 512  # pixels: beyond, a batch takes more memory than most machines have
MOST_FOLDS, FEWEST_FOLDS = 5, 3


def propose_crop_size(entries: Sequence[Entry]) -> int:
    """Return the usual smaller side of the images in pixels, as a multiple of STRIDE, up to LARGEST_CROP."""
    side = int(median(min(entry.width, entry.height) for entry in entries))
    return max(STRIDE, min(side, LARGEST_CROP) // STRIDE * STRIDE)


def propose_folds(entries: list[Entry], params: Params) -> int:
    """Return the largest number of folds, up to MOST_FOLDS, of which each shows every type.

    Raises: DatasetError, when even FEWEST_FOLDS are too many.
    """
    for folds in range(MOST_FOLDS, FEWEST_FOLDS - 1, -1):
        split = params.data_split.model_copy(update={"folds": folds})
        try:
            refuse_lacking(entries, assign_folds(entries, split, params.base.seed))
        except DatasetError as error:
            reason = error
        else:
            return folds
    raise DatasetError(f"{reason}; three is the least: photograph more objects of each type")


def as_yaml(table: Path, group: str | None, entries: list[Entry], params: Params) -> str:
    """Return the sections of params.yaml that own data need; a JSON value is a YAML value.

    Raises: DatasetError, when there are too few images.
    """
    folds = propose_folds(entries, params)
    types = sorted({entry.defect_type for entry in entries} - {FREE})
    return f"""\
data_load:
  digest: ""
  table: {json.dumps(table.as_posix())}
  group: {json.dumps(group)}
  types: {json.dumps(types)}
data_split:
  folds: {folds}
  test_fold: {folds - 1}
  validation_fold: {folds - 2}
  validation_tiles: {json.dumps(1 if group else None)}
train:
  crop_size: {propose_crop_size(entries)}
  synthetic_share: 0
  consensus: false
quantize:
  title: {json.dumps(table.resolve().parent.name.capitalize())}"""
