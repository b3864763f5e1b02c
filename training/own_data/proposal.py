"""What the images say about params.yaml: the lines that a user may copy."""

import json
from collections.abc import Sequence
from functools import partial
from itertools import product
from pathlib import Path
from statistics import median

from tiles.canvas import STRIDE
from training.dataset.index import FREE, Entry
from training.dataset.split import assign_folds_and_parts
from training.errors import DatasetError
from training.params import DataSplitParams, Params

LARGEST_CROP = 512  # pixels: beyond, a batch takes more memory than most machines have
MOST_FOLDS, FEWEST_FOLDS = 5, 3
_quoted = partial(json.dumps, ensure_ascii=False)  # YAML reads JSON, but for an emoji as \ud83d\ude00


def propose_crop_size(entries: Sequence[Entry]) -> int:
    """Return the usual smaller side of the images in pixels, as a multiple of STRIDE, up to LARGEST_CROP."""
    side = int(median(min(entry.width, entry.height) for entry in entries))
    return max(STRIDE, min(side, LARGEST_CROP) // STRIDE * STRIDE)


def propose_split(group: str | None, entries: list[Entry], params: Params) -> DataSplitParams:
    """Return the split of most folds, up to MOST_FOLDS, whose folds and parts the stage data_split accepts.

    Few objects validate where objects are known, unless validation would have no Free image then.

    Raises: DatasetError, when even FEWEST_FOLDS are too many.
    """
    for folds, kept in product(range(MOST_FOLDS, FEWEST_FOLDS - 1, -1), (1, None) if group else (None,)):
        changes = {"folds": folds, "test_fold": folds - 1, "validation_fold": folds - 2, "validation_tiles": kept}
        split = params.data_split.model_copy(update=changes)
        try:
            assign_folds_and_parts(entries, split, params.base.seed)
        except DatasetError as error:
            reason = error
        else:
            return split
    raise DatasetError(f"{reason}; three is the least: photograph more objects of each type")


def as_yaml(table: Path, group: str | None, entries: list[Entry], params: Params) -> str:
    """Return the sections of params.yaml that own data need; a JSON value is a YAML value.

    Raises: DatasetError, when there are too few images.
    """
    split = propose_split(group, entries, params)
    types = sorted({entry.defect_type for entry in entries} - {FREE})
    return f"""\
data_load:
  digest: ""
  table: {_quoted(table.as_posix())}
  group: {_quoted(group)}
  types: {_quoted(types)}
data_split:
  folds: {split.folds}
  test_fold: {split.test_fold}
  validation_fold: {split.validation_fold}
  validation_tiles: {_quoted(split.validation_tiles)}
train:
  crop_size: {propose_crop_size(entries)}
quantize:
  title: {_quoted(table.resolve().parent.name.capitalize())}"""
