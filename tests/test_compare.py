"""Comparing experiments: what is refused, and that equals are equal. test_experimenting.py runs the command."""

import shutil
import subprocess

import pytest
from training_data import ROOT

from studies.compare import FIGURES, _change, main
from training.errors import EvaluationError
from training.evaluation.figures import measure, outcomes_at
from training.evaluation.image_results import read_results
from training.evaluation.operating_point import choose_operating_point
from training.params import load_params

TABLE = "evaluation/results_validation.csv"


@pytest.fixture(autouse=True)
def in_the_repository(monkeypatch):
    monkeypatch.chdir(ROOT)


def compare(monkeypatch, *revisions):
    monkeypatch.setattr("sys.argv", ["compare", *revisions])
    main()


def git(*words, folder=ROOT):
    command = ["git", "-c", "user.name=test", "-c", "user.email=test@example.com", *words]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout


def test_a_commits_figures_are_those_of_its_validation_table_and_equals_do_not_differ(tmp_path, monkeypatch, capsys):
    (tmp_path / "table.csv").write_text(git("show", f"HEAD:{TABLE}"))
    results = read_results(tmp_path / "table.csv")
    point = choose_operating_point(results, load_params().evaluate.false_alarm_rate)
    figures = measure(outcomes_at(results, point))
    compare(monkeypatch, "HEAD", "HEAD~0")
    *_, first, same = (line.split() for line in capsys.readouterr().out.splitlines())
    expected = [f"{figures[name]:.3f}" for name in FIGURES]
    assert ["HEAD", *expected] == first
    unchanged = ["+0.000", "(+0.000", "to", "+0.000)"]
    assert ["HEAD~0", *(cell for figure in expected for cell in (figure, *unchanged))] == same


def test_an_unknown_revision_is_told_where_names_stand(monkeypatch):
    with pytest.raises(EvaluationError, match=r"no-such has no evaluation/results_validation\.csv: .* `dvc exp show`"):
        compare(monkeypatch, "no-such")


def test_other_validation_images_are_refused_by_name(tmp_path, monkeypatch):
    for path in (TABLE, "params.yaml"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        shutil.copyfile(ROOT / path, tmp_path / path)
    git("init", "--quiet", folder=tmp_path)
    git("add", "--all", folder=tmp_path)
    git("commit", "--quiet", "--message", "all images", folder=tmp_path)
    git("branch", "again", folder=tmp_path)
    lines = (tmp_path / TABLE).read_text().splitlines(keepends=True)
    (tmp_path / TABLE).write_text("".join(lines[:-1]))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        EvaluationError,
        match=r"^workspace: the validation images differ from those of HEAD. Leave out .* base",
    ):
        compare(monkeypatch, "HEAD", "again", "workspace")


@pytest.mark.parametrize(
    ("low", "high", "starred"), [(-0.2, -0.1, True), (-0.1, 0.1, False), (0.0, 0.1, False), (0.1, 0.2, True)]
)
def test_a_star_stands_where_the_interval_is_on_one_side_of_nothing(low, high, starred):
    assert starred == _change((low + high) / 2, low, high).endswith("*")
