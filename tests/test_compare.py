"""Comparing experiments: what is refused, and that equals are equal. test_experimenting.py runs the command."""

import numpy as np
import pytest
from training_data import ROOT

from studies.compare import FIGURES, change, read_outcomes, refuse_other_images, rows
from training.errors import EvaluationError
from training.evaluation.figures import measure

RATE = 0.04  # as params.yaml ships it


@pytest.fixture(autouse=True)
def in_the_repository(monkeypatch):
    monkeypatch.chdir(ROOT)


def test_a_commits_figures_are_those_of_its_validation_table_and_equals_do_not_differ():
    outcomes = read_outcomes("HEAD", RATE)
    figures = measure(outcomes)
    first, same = rows({"HEAD": outcomes, "again": outcomes})
    assert [f"{figures[name]:.3f}" for name in FIGURES] == first[1::2] == same[1::2]
    assert ["+0.000 (+0.000 to +0.000)"] * len(FIGURES) == same[2::2]


def test_an_unknown_revision_is_told_where_names_stand():
    with pytest.raises(EvaluationError, match=r"no-such has no evaluation/results_validation\.csv: .* `dvc exp show`"):
        read_outcomes("no-such", RATE)


def test_other_validation_images_are_refused_by_name():
    outcomes = read_outcomes("HEAD", RATE)
    fewer = outcomes.take(np.arange(len(outcomes) - 1))
    refuse_other_images({"HEAD": outcomes, "again": outcomes})
    with pytest.raises(
        EvaluationError, match=r"^seed validated on other images than HEAD: leave out what changed base"
    ):
        refuse_other_images({"HEAD": outcomes, "again": outcomes, "seed": fewer})


@pytest.mark.parametrize(
    ("low", "high", "starred"), [(-0.2, -0.1, True), (-0.1, 0.1, False), (0.0, 0.1, False), (0.1, 0.2, True)]
)
def test_a_star_stands_where_the_interval_is_on_one_side_of_nothing(low, high, starred):
    assert starred == change((low + high) / 2, low, high).endswith("*")
