"""The tables that `dvc plots` draws: what they say of a dataset unlike the published one."""

import csv

import numpy as np
from training_data import a_prediction

from tiles.operating_point import OperatingPoint
from training.evaluation.figures import outcomes_at
from training.evaluation.image_results import result_of
from training.evaluation.plots import write_dice_by_type

DEFECT = np.ones((4, 4), bool)
TYPES = 100  # so many that no draw of their tiles has every type


def test_the_mean_of_so_many_types_that_no_draw_shows_them_all_has_no_interval(tmp_path):
    tiles = [(f"Type {number}", f"{number}-{tile}") for number in range(TYPES) for tile in range(2)]
    found = [a_prediction(DEFECT, 200 * DEFECT, defect_type=name, name=tile) for name, tile in tiles]
    outcomes = outcomes_at([result_of(prediction) for prediction in found], OperatingPoint(128, 0.0))
    write_dice_by_type({"validation": outcomes}, tmp_path / "dice.csv")
    with (tmp_path / "dice.csv").open(newline="") as file:
        rows = {row["type"]: row for row in csv.DictReader(file)}
    assert ("1.0", "", "") == tuple(rows["mean of types"][key] for key in ("dice", "low", "high"))
    assert ("1.0", "1.0", "1.0") == tuple(rows["Type 7"][key] for key in ("dice", "low", "high"))
