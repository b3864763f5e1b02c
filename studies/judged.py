"""Images and tiles with their scores, from the tables of all folds, and shares of them with their intervals."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from tiles.operating_point import tile_score
from training.dataset.index import FREE
from training.evaluation.bootstrap import interval
from training.evaluation.image_results import Result, read_results

SAMPLES, SEED = 1000, 20
KINDS = ("photographs", "tiles")


@dataclass(frozen=True)
class Judged:
    """Images or tiles with their scores: arrays of shape (N,).

    Attributes:
        tile: str, the tile that it shows or is. A tile's begins with its fold: sorted, tiles stand as `join_tiles` puts
            them, so that the intervals are over the same draws as those of `tile_intervals`.
        score: float, 0–1.
        defective, sound: bool; an image with a defect type and an empty mask is neither.
    """

    tile: np.ndarray
    score: np.ndarray
    defective: np.ndarray
    sound: np.ndarray


Parts = Mapping[str, Sequence[Judged]]  # {part: each fold's}


def read_judged(folders: Sequence[Path]) -> dict[str, Parts]:
    """Return {kind: {`validation` and `test`: each fold's images or tiles}}."""
    parts = {part: [_photographs(read_results(f / f"{part}.csv")) for f in folders] for part in ("validation", "test")}
    tiles = {part: [_tiles(images, fold) for fold, images in enumerate(each)] for part, each in parts.items()}
    return dict(zip(KINDS, (parts, tiles), strict=True))


def _photographs(results: Sequence[Result]) -> Judged:
    """Return each image; it is defective if its true mask has a pixel."""
    rows = [(r.tile, r.score, bool(r.counts.defect.sum()), r.defect_type == FREE) for r in results]
    return _judged(rows)


def _tiles(images: Judged, fold: int) -> Judged:
    """Return each tile: defective if one of its images is, sound if all are."""
    groups = [(tile, images.tile == tile) for tile in np.unique(images.tile)]
    return _judged(
        [
            (
                f"{fold:02} {tile}",
                tile_score(images.score[of].tolist()),
                bool(images.defective[of].any()),
                bool(images.sound[of].all()),
            )
            for tile, of in groups
        ]
    )


def _judged(rows: Sequence[tuple[str, float, bool, bool]]) -> Judged:
    tile, score, defective, sound = zip(*rows, strict=True)
    return Judged(np.array(tile), np.array(score), np.array(defective), np.array(sound))


def join(folds: Sequence[Judged]) -> Judged:
    """Return the images or tiles of several folds."""
    columns = (np.concatenate([getattr(fold, field.name) for fold in folds]) for field in fields(Judged))
    return Judged(*columns)


def sources(parts: Parts) -> dict[str, Sequence[Judged]]:
    """Return from what each fold may learn about its scores, so that no tile learns from itself.

    validation: the fold's validation part. nested: the test parts of the other folds; missing if there is no other.
    """
    test = parts["test"]
    nested = [join([*test[:fold], *test[fold + 1 :]]) for fold in range(len(test))] if len(test) > 1 else []
    return {"validation": parts["validation"]} | ({"nested": nested} if nested else {})


def share(chosen: np.ndarray, among: np.ndarray, tile: np.ndarray) -> dict[str, Any]:
    """Return how many of some are chosen, and the share's 95 % interval by bootstrap over tiles.

    If none or all of them are chosen, there is no interval: every draw has the same share.

    Shapes: (N,) bool, (N,) bool and (N,) str.
    """
    names, index = np.unique(tile, return_inverse=True)
    found = np.bincount(index, weights=chosen & among, minlength=len(names))  # (tiles,)
    total = np.bincount(index, weights=among, minlength=len(names))
    draws = np.random.default_rng(SEED).integers(len(names), size=(SAMPLES, len(names)))
    of = total[draws].sum(axis=1)
    shares = found[draws].sum(axis=1)[of > 0] / of[of > 0]
    varies = 0 < found.sum() < total.sum()
    return {
        "number": int(found.sum()),
        "of": int(total.sum()),
        "interval": interval(shares.tolist()) if varies else None,
    }


def share_text(found: Mapping[str, Any]) -> str:
    """Return a share with its numbers and, if it has one, its interval."""
    if not found["of"]:
        return "none"
    within = " ({:.1%}–{:.1%})".format(*found["interval"]) if found["interval"] else ""
    return f"{found['number']} of {found['of']}, **{found['number'] / found['of']:.1%}**{within}"
