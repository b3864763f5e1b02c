"""What the report says of the verdicts, on tables that are counted by hand."""

import numpy as np
import pytest
from training_data import ROOT, params_with

from studies.judged import SEED, read_judged, share_text
from studies.report_tiles import by_tile
from studies.report_verdicts import if_defects_were_rare, rate_rows, verdict_figures, verdict_rows
from studies.runs import outcomes_of
from training.evaluation.counts import LEVELS, Counts
from training.evaluation.image_results import Result, write_results
from training.params import load_params

RATES = {"evaluate__false_alarm_rate": 0.0, "evaluate__review_rate": 0.5}
SOUND, DEFECTIVE = ("Free", 0), ("Crack", 9)  # type, pixels of the true mask


def result(tile, kind, score):
    """One image of a tile; the pixels of its defect all have the highest probability."""
    defect_type, pixels = kind
    counts, none = np.zeros(LEVELS, int), np.zeros(LEVELS, int)
    counts[-1] = pixels
    return Result(f"{tile}-{score}", tile, defect_type, Counts(counts, none), none, score)


@pytest.fixture
def folders(tmp_path):
    """Two folds. Validation chooses 0.6001 and 0.4001 in the first one, 0.3001 and 0.2001 in the second."""
    parts = {
        ("a", "validation"): [("va", SOUND, 0.4), ("vb", SOUND, 0.6)],
        ("a", "test"): [("ta", SOUND, 0.1), ("tb", SOUND, 0.5), ("tc", DEFECTIVE, 0.5), ("tc", DEFECTIVE, 0.65)],
        ("b", "validation"): [("vc", SOUND, 0.2), ("vd", SOUND, 0.3)],
        ("b", "test"): [("td", SOUND, 0.7), ("te", DEFECTIVE, 0.1), ("tf", ("Uneven", 0), 0.1)],
    }
    for (fold, part), rows in parts.items():
        (tmp_path / fold).mkdir(exist_ok=True)
        write_results([result(*row) for row in rows], tmp_path / fold / f"{part}.csv")
    return [tmp_path / "a", tmp_path / "b"]


def counted(figure):
    return figure["number"], figure["of"]


def test_each_photograph_and_tile_gets_the_verdict_of_its_own_folds_limits(folders):
    found = verdict_figures(read_judged(folders), params_with(**RATES).evaluate)
    photographs, tiles = (found[kind]["verdicts"] for kind in ("photographs", "tiles"))
    assert {"ok": (3, 7), "review": (2, 7), "defect": (2, 7)} == {
        k: counted(v["share"]) for k, v in photographs.items()
    }
    assert {"ok": (1, 3), "review": (1, 2), "defect": (1, 2)} == {
        k: counted(v["defective"]) for k, v in photographs.items()
    }
    assert {"ok": (3, 6), "review": (2, 6), "defect": (1, 6)} == {k: counted(v["share"]) for k, v in tiles.items()}
    assert {"ok": (1, 3), "review": (1, 2), "defect": (0, 1)} == {k: counted(v["defective"]) for k, v in tiles.items()}


def test_the_nested_alarm_score_comes_from_the_test_parts_of_the_other_folds(folders):
    """Nested, the first fold's alarm score is 0.7001 and the second's 0.5001."""
    row = verdict_figures(read_judged(folders), params_with(**RATES).evaluate)["photographs"]["rates"][0]
    assert 0.01 == row["rate"]
    assert ((1, 3), (0, 3)) == tuple(counted(row[source]["found"]) for source in ("validation", "nested"))
    assert ((1, 3), (1, 3)) == tuple(counted(row[source]["false_alarms"]) for source in ("validation", "nested"))


def test_an_only_fold_has_no_other_to_choose_its_limit(folders):
    found = verdict_figures(read_judged(folders[:1]), params_with(**RATES).evaluate)
    assert {"rate", "validation"} == found["tiles"]["rates"][0].keys()
    assert {4} == {len(row) for row in rate_rows(found)}
    assert 6 == len(verdict_rows(found))


def test_alarms_are_worth_less_where_few_tiles_have_a_defect():
    """4 of 5 defective tiles are flagged and 1 of 10 sound ones: of 1000 tiles with 10 defective, 8 and 99."""
    tiles = {
        "defective_tiles": {"value": 5},
        "found_share": {"value": 0.8, "interval": (0.4, 1.0)},
        "sound_tiles": {"value": 10},
        "false_alarm_share": {"value": 0.1, "interval": (0.0, 0.3)},
    }
    assert {
        "tested": 1 / 3,
        "share": 0.01,
        "right": pytest.approx(8 / 107),
        "lowest": pytest.approx(8 / 305),
        "highest": 1.0,
    } == if_defects_were_rare(tiles)
    assert if_defects_were_rare({name: tiles[name] for name in ("defective_tiles", "found_share")}) is None
    tiles["found_share"]["value"] = 0.0
    assert if_defects_were_rare(tiles) is None


def test_a_share_is_told_with_its_numbers_and_its_interval():
    assert "1 of 4, **25.0%** (0.0%–50.0%)" == share_text({"number": 1, "of": 4, "interval": (0.0, 0.5)})


def test_there_is_no_share_of_nothing_and_no_draw_of_nothing_counts(folders):
    """One photograph is called defect, and has one: every draw says so. None is called review without a limit."""
    verdicts = verdict_figures(
        read_judged(folders[:1]), params_with(**RATES | {"evaluate__review_rate": None}).evaluate
    )
    found = verdicts["photographs"]["verdicts"]
    assert {"number": 1, "of": 1, "interval": None} == found["defect"]["defective"]
    assert "1 of 1, **100.0%**" == share_text(found["defect"]["defective"])
    assert {"number": 0, "of": 0, "interval": None} == found["review"]["defective"]
    assert "none" == share_text(found["review"]["defective"])


def test_the_tiles_have_the_intervals_of_the_figures_by_tile(monkeypatch):
    monkeypatch.setattr("studies.judged.SAMPLES", 50)
    params, tables = load_params(ROOT / "params.yaml").evaluate, ROOT / "studies/tables"
    monkeypatch.setattr("studies.report_verdicts.RATES", (params.false_alarm_rate,))
    monkeypatch.chdir(ROOT)
    folds = [tables / "honest-3", tables / "honest-0"]  # in no order of their names
    figures = by_tile({fold: outcomes_of(fold) for fold in folds}, params, samples=50, seed=SEED)["all"]
    (row,) = verdict_figures(read_judged(folds), params)["tiles"]["rates"]
    assert figures["found_share"]["interval"] == row["validation"]["found"]["interval"]
    assert figures["false_alarm_share"]["interval"] == row["validation"]["false_alarms"]["interval"]
