"""What the report says beside its figures of images: one verdict per tile, and what the novelty catches."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from training.evaluation.figures import Outcomes
from training.evaluation.image_results import read_results
from training.evaluation.novelty import total
from training.evaluation.operating_point import choose
from training.evaluation.tile_figures import TileOutcomes, join_tiles, judge_tiles, measure_tiles, tile_intervals
from training.params import EvaluateParams
from training.reports.figure_words import TILE_WORDS, figure_text

NOVELTY = "novelty.json"


def by_tile(outcomes: Mapping[Path, Outcomes], params: EvaluateParams, *, samples: int, seed: int) -> dict[str, Any]:
    """Judge the tiles of each fold by the alarm score that its validation tiles give, and measure all of them together.

    outcomes: of the test images of each run, by its folder. samples, seed: of the bootstrap.
    """
    validation = {folder: read_results(folder / "validation.csv") for folder in outcomes}
    scores = {folder: choose(found, params).of_tiles.alarm_score for folder, found in validation.items()}
    judged = {folder: judge_tiles(found, scores[folder]) for folder, found in outcomes.items()}
    return {
        "all": _with_intervals(join_tiles(list(judged.values())), samples, seed),
        "folds": {f.name: {"alarm_score": scores[f], **measure_tiles(tiles)} for f, tiles in judged.items()},
    }


def _with_intervals(tiles: TileOutcomes, samples: int, seed: int) -> dict[str, Any]:
    bounds = tile_intervals(tiles, samples=samples, seed=seed)
    return {name: {"value": value, "interval": bounds[name]} for name, value in measure_tiles(tiles).items()}


def novelty_of(folders: Sequence[Path]) -> dict[str, Any]:
    """Return what the novelty catches in the runs that measured it, each by its folder's name and all together."""
    measured = [folder for folder in folders if (folder / NOVELTY).is_file()]
    figures = {folder.name: json.loads((folder / NOVELTY).read_text(encoding="utf-8")) for folder in measured}
    return {"all": total(list(figures.values())), "folds": figures}


def tile_rows(found: Mapping[str, Any]) -> list[list[str]]:
    """Return each figure by tile with its interval, a dash where there is none. found: what `by_tile` returned."""
    return [[words, with_interval(found["all"].get(name))] for name, words in TILE_WORDS.items()]


def with_interval(figure: Mapping[str, Any] | None) -> str:
    """Return a figure with its interval, if it has one; a number of images or tiles alone; a dash if there is none."""
    if figure is None:
        return "–"
    shown = figure_text(figure["value"])
    if isinstance(figure["value"], int):
        return shown
    within = " ({}–{})".format(*map(figure_text, figure["interval"])) if "interval" in figure else ""
    return f"**{shown}**{within}"
