"""Comparing experiments: what is refused, and that equals are equal. test_experimenting.py runs the command."""

import shutil

import pytest
from ruamel.yaml import YAML
from training_data import ROOT

from studies.compare import FIGURES, _change, main, rows
from tests.clones import git
from training.errors import EvaluationError, MixedRunsError
from training.evaluation.figures import measure, outcomes_at
from training.evaluation.image_results import read_results, write_results
from training.evaluation.operating_point import choose_operating_point
from training.params import load_params
from training.runs import _md5

MODEL = ("models/segmenter.json", "models/segmenter.safetensors")
TABLE = "evaluation/results_validation.csv"


@pytest.fixture(autouse=True)
def in_the_repository(monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr("studies.compare.SAMPLES", 20)


def compare(monkeypatch, *revisions):
    monkeypatch.setattr("sys.argv", ["compare", *revisions])
    main()


def test_a_commits_figures_are_those_of_its_validation_table_and_equals_do_not_differ(tmp_path, monkeypatch, capsys):
    (tmp_path / "table.csv").write_text(git(ROOT, "show", f"HEAD:{TABLE}"))
    results = read_results(tmp_path / "table.csv")
    point = choose_operating_point(results, load_params().evaluate.false_alarm_rate)
    figures = measure(outcomes_at(results, point))
    compare(monkeypatch, "HEAD", "HEAD~0")
    told, _, first, same = capsys.readouterr().out.splitlines()
    first, same = first.split(), same.split()
    assert told.endswith(" tiles; all at evaluate.false_alarm_rate 0.035 of params.yaml")
    expected = [f"{figures[name]:.3f}" for name in FIGURES]
    assert ["HEAD", *expected] == first
    within = ["(+0.000", "to", "+0.000)"]  # but of the mean of types: of each, one tile validates
    changes = [["+0.000", *(() if name == "dice_type_mean" else within)] for name in FIGURES]
    assert [
        "HEAD~0",
        *(cell for figure, change in zip(expected, changes, strict=True) for cell in (figure, *change)),
    ] == same


@pytest.mark.parametrize("defective", [True, False])
def test_where_images_are_all_alike_a_dash_stands_for_the_auroc(defective):
    results = [each for each in read_results(ROOT / TABLE) if each.defective == defective]
    found = outcomes_at(results, choose_operating_point(read_results(ROOT / TABLE), 0.05))
    first, second = rows({"one": found, "two": found})
    at = 1 + 2 * list(FIGURES).index("auroc")
    assert ["–", ""] == first[at : at + 2] == second[at : at + 2]
    assert 1 == first.count("–") == second.count("–")


def test_an_unknown_revision_is_told_where_names_stand(monkeypatch):
    with pytest.raises(EvaluationError, match=r"no-such has no evaluation/results_validation\.csv: .* `dvc exp show`"):
        compare(monkeypatch, "no-such")


def listed(folder, *paths):
    return [{"path": path, "md5": _md5(folder / path)} for path in paths]


def record(folder, *stages):
    """Write what these stages read and write now into dvc.lock, as DVC does when it runs them."""
    lock = folder / "dvc.lock"
    entries = YAML(typ="safe").load(lock)["stages"] if lock.is_file() else {}
    rate = {"params.yaml": {"train": YAML(typ="safe").load(folder / "params.yaml")["train"]}}
    done = {
        "train": {"params": rate, "outs": listed(folder, *MODEL)},
        "evaluate": {"deps": listed(folder, *MODEL), "outs": listed(folder, TABLE)},
    }
    YAML(typ="safe").dump({"stages": entries | {stage: done[stage] for stage in stages}}, lock)


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A committed repository of one run, and its branch `again`."""
    for path in (TABLE, "params.yaml"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        shutil.copyfile(ROOT / path, tmp_path / path)
    (tmp_path / "models").mkdir()
    for path in MODEL:
        (tmp_path / path).write_text("weights")
    record(tmp_path, "train", "evaluate")
    git(tmp_path, "init", "--quiet")
    commit(tmp_path)
    git(tmp_path, "branch", "again")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def commit(folder):
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "a run")


def test_other_validation_images_are_refused_by_name(repository, monkeypatch):
    lines = (repository / TABLE).read_text().splitlines(keepends=True)
    (repository / TABLE).write_text("".join(lines[:-1]))
    record(repository, "evaluate")
    with pytest.raises(
        EvaluationError,
        match=r"^workspace: the validation images or their masks differ from those of HEAD. Leave out .* base",
    ):
        compare(monkeypatch, "HEAD", "again", "workspace")


def test_other_masks_of_the_same_images_are_refused_by_name(repository, monkeypatch):
    """As with another data_load.mask_above: one pixel more of an image is defective."""
    results = read_results(repository / TABLE)
    next(result for result in results if result.defective).counts.defect[0] += 1
    write_results(results, repository / TABLE)
    record(repository, "evaluate")
    with pytest.raises(EvaluationError, match=r"^workspace: the validation images or their masks differ from those of"):
        compare(monkeypatch, "HEAD", "workspace")


def test_a_table_that_another_model_left_is_refused_with_the_stage_to_run(repository, monkeypatch):
    """As `dvc exp run train` leaves it: new weights in the experiment, and the table of the old ones."""
    (repository / MODEL[1]).write_text("new weights")
    record(repository, "train")
    with pytest.raises(MixedRunsError, match=r"^workspace: the stage evaluate .*: run `dvc repro evaluate`$"):
        compare(monkeypatch, "HEAD", "workspace")
    git(repository, "switch", "--quiet", "--create", "slower")
    commit(repository)
    with pytest.raises(MixedRunsError, match=r"^slower: .* `dvc exp apply slower` and `dvc repro evaluate`, and name"):
        compare(monkeypatch, "again", "slower")


def test_parameters_that_were_changed_and_not_run_are_refused(repository, monkeypatch):
    path = repository / "params.yaml"
    path.write_text(path.read_text().replace("learning_rate: 0.002", "learning_rate: 0.001"))
    with pytest.raises(MixedRunsError, match=r"^workspace: the stage train ran with other parameters \(train\)"):
        compare(monkeypatch, "HEAD", "workspace")


def test_a_table_without_a_lock_is_of_no_known_model(repository, monkeypatch):
    (repository / "dvc.lock").unlink()
    with pytest.raises(MixedRunsError, match=r"workspace has no dvc\.lock: nothing says which model"):
        compare(monkeypatch, "HEAD", "workspace")


@pytest.mark.parametrize(
    ("low", "high", "starred"), [(-0.2, -0.1, True), (-0.1, 0.1, False), (0.0, 0.1, False), (0.1, 0.2, True)]
)
def test_a_star_stands_where_the_interval_is_on_one_side_of_nothing(low, high, starred):
    assert starred == _change((low + high) / 2, (low, high)).endswith("*")
