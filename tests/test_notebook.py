"""The lab notebook and docs/experimenting.md against the tables: figures, commits, and what another recipe outdates."""

import functools
import json
import re
import subprocess
from fnmatch import fnmatch
from pathlib import Path

import pytest
from sklearn.metrics import roc_auc_score

from studies import differences
from studies.paired import compare
from studies.runs import BASELINE, outcomes_of
from tests.clones import git
from tests.conftest import ROOT
from tests.pages import table_after
from training.dataset.index import FREE
from training.evaluation.figures import measure
from training.evaluation.image_results import read_results
from training.evaluation.operating_point import choose_limits
from training.params import EvaluateParams

NOTEBOOK = (ROOT / "studies/experiments.md").read_text()
TWO_PERCENT = EvaluateParams.model_construct(false_alarm_rate=0.02, review_rate=None)
BY_FOLD = {  # what stands before a table: the recipe in levers/ that it begins with, those it compares, and its folds
    "Shipped recipe → synthetic defects / four options:": ("short", ("synthetic", "stacked"), (2, 3, 4)),
    "| 29 | 38 | +9 (-5 to +24) |": ("first", ("five",), (0, 1, 2, 3, 4)),
}
FIGURES = {  # of the first of these tables
    "Dice, pooled": "dice_pooled",
    "mean of types": "dice_type_mean",
    "Dice per defective image": "dice_image_mean",
    "type right of the found": "type_right_of_found",
}
PAIRED = re.findall(r"`python -m studies\.paired (\S+) (\S+)`", NOTEBOOK)


def found_at_two_percent(results):
    """How many defective images reach the lowest score that at most 2 % of the Free images reach, of how many."""
    level = choose_limits([result.score for result in results if result.defect_type == FREE], TWO_PERCENT).alarm_score
    scores = [result.score for result in results if result.defective]
    return sum(score >= level for score in scores), len(scores)


def auroc(results):
    return roc_auc_score([result.defective for result in results], [result.score for result in results])


@functools.cache
def results_of(folder):
    return read_results(folder / "test.csv")


def folders_of(text):
    """The tables of each fold, one a recipe; None where it was not trained."""
    first, others, folds = BY_FOLD[text]
    named = [[ROOT / f"studies/levers/{name}/honest-{fold}" for name in (first, *others)] for fold in folds]
    return [[folder if folder.is_dir() else None for folder in folders] for folders in named]


def cells(text, figure):
    """A row of a table: in each fold the first recipe's figure → those of the others."""
    told = [[figure(folder) if folder else "–" for folder in folders] for folders in folders_of(text)]
    return [f"{first} → {' / '.join(others)}" for first, *others in told]


@pytest.mark.parametrize("text", BY_FOLD, ids=["22 epochs", "five"])
def test_a_table_by_fold_has_the_scores_of_its_tables(text):
    told = {row[0]: row[1:] for row in table_after(NOTEBOOK, text)}
    found = cells(text, lambda folder: str(found_at_two_percent(results_of(folder))[0]))
    of = [found_at_two_percent(results_of(first))[1] for first, *_ in folders_of(text)]
    row = "found above the 2 % level of the test part's own Free images"
    assert [f"{cell} of {count}" for cell, count in zip(found, of, strict=True)] == told[row]
    assert cells(text, lambda folder: f"{auroc(results_of(folder)):.3f}") == told["AUROC of the images"]


def test_the_table_of_22_epochs_has_the_figures_at_the_operating_points_of_its_tables(monkeypatch):
    monkeypatch.chdir(ROOT)
    (text, _) = BY_FOLD
    told = {row[0]: row[1:] for row in table_after(NOTEBOOK, text)}
    figures = {folder: measure(outcomes_of(folder)) for folders in folders_of(text) for folder in folders if folder}
    for row, name in FIGURES.items():
        assert cells(text, lambda folder, name=name: f"{figures[folder][name]:.3f}") == told[row]


@pytest.mark.parametrize("folders", PAIRED, ids=[second for _, second in PAIRED])
def test_a_paired_table_has_the_figures_and_the_differences_that_its_command_prints(folders, monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(differences, "SAMPLES", 2)  # the intervals would take a minute
    printed = [[*row[:3], re.match(r"\*\*(.+)\*\*", row[3])[1]] for row in compare(*map(Path, folders))]
    told = table_after(NOTEBOOK, f"`python -m studies.paired {' '.join(folders)}`")
    assert printed == [[*row[:3], row[3].split(" ")[0]] for row in told]


def test_the_notebook_names_every_table_whose_code_no_commit_has():
    if "true" == git(ROOT, "rev-parse", "--is-shallow-repository"):
        pytest.skip("a shallow clone has few commits")
    told = {row[0].strip("`"): row[1:] for row in table_after(NOTEBOOK, "does not lead back to the code")}
    lost, changed = {}, {}
    for path in (ROOT / "studies").rglob("run.json"):
        run = json.loads(path.read_text())
        known = subprocess.run(["git", "merge-base", "--is-ancestor", run["commit"], "HEAD"], cwd=ROOT, check=False)
        folders = changed if run["dirty"] else lost
        if run["dirty"] or known.returncode:
            folders.setdefault(run["commit"][:12], []).append(path.parent.relative_to(ROOT))
    assert set(lost) == {commit for commit, (_, why) in told.items() if "no clone" in why}
    assert set(changed) == {commit for commit, (_, why) in told.items() if "not committed" in why}
    for commit, folders in (lost | changed).items():
        assert {f"{folder.parent}/" in told[commit][0] for folder in folders} == {True}
        assert sorted(folder.name for folder in folders) == re.findall(r"honest-\d", told[commit][0])


def test_the_page_removes_every_table_that_another_recipe_outdates():
    page = (ROOT / "docs/experimenting.md").read_text()
    (patterns,) = re.findall(r"`git rm -r --quiet (studies/tables/[^`]+)`", page)
    runs = [path.parent.relative_to(ROOT) for path in (ROOT / "studies/tables").glob("*/run.json")]
    left = [run.name for run in runs if not any(fnmatch(str(run), each) for each in patterns.split())]
    assert left
    assert all(name.startswith(BASELINE) for name in left)
