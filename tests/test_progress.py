"""The bar of a stage counts all its passes; without a stage each pass has a bar of its own."""

import contextlib

from tests.conftest import ROOT
from training.progress import counted, progress


def test_the_passes_of_a_stage_count_on_one_bar(capsys):
    with progress("evaluate", 5):
        assert [0, 1] == list(counted(range(2), "validation"))
        assert [0, 1, 2] == list(counted(range(3), "test"))
    said = capsys.readouterr().err
    assert "evaluate: 100%" in said
    assert "5/5" in said
    assert "validation: " not in said


def test_a_pass_without_a_stage_has_its_own_bar_also_after_a_stage_that_failed(capsys):
    with contextlib.suppress(ZeroDivisionError), progress("evaluate", 5):
        1 / 0  # noqa: B018 - a stage that fails
    assert [0] == list(counted([0], "validation", 1))
    assert "validation: " in capsys.readouterr().err


def test_every_bar_of_training_and_studies_is_one_of_these_which_spare_a_log():
    sources = [path for folder in ("training", "studies") for path in (ROOT / folder).rglob("*.py")]
    assert [ROOT / "training/progress.py"] == [path for path in sources if "import tqdm" in path.read_text()]
