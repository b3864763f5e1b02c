"""The lab notebook and docs/experimenting.md against the tables: figures, commits, and what another recipe outdates."""

import json
import re
import subprocess
from fnmatch import fnmatch
from pathlib import Path

import pytest
from sklearn.metrics import roc_auc_score

from studies import differences
from studies.paired import compare
from studies.runs import BASELINE
from tests.clones import git
from tests.conftest import ROOT
from tests.pages import table_after
from training.dataset.index import FREE
from training.evaluation.image_results import read_results
from training.evaluation.operating_point import choose_limits
from training.params import EvaluateParams

NOTEBOOK = (ROOT / "studies/experiments.md").read_text()
TWO_PERCENT = EvaluateParams.model_construct(false_alarm_rate=0.02, review_rate=None)
BY_FOLD = {  # what stands before a table: the two recipes in levers/ that it compares, and its folds
    "## Synthetic defects: not decided": ("short", "synthetic", (3, 4)),
    "## Four options at once": ("short", "stacked", (2, 3, 4)),
    "| 29 | 38 | +9 (-5 to +24) |": ("first", "five", (0, 1, 2, 3, 4)),
}
PAIRED = re.findall(r"`python -m studies\.paired (\S+) (\S+)`", NOTEBOOK)


def found_at_two_percent(results):
    """How many defective images reach the lowest score that at most 2 % of the Free images reach, of how many."""
    level = choose_limits([result.score for result in results if result.defect_type == FREE], TWO_PERCENT).alarm_score
    scores = [result.score for result in results if result.defective]
    return sum(score >= level for score in scores), len(scores)


def auroc(results):
    return roc_auc_score([result.defective for result in results], [result.score for result in results])


@pytest.mark.parametrize("text", BY_FOLD, ids=[second for _, second, _ in BY_FOLD.values()])
def test_a_table_by_fold_has_the_scores_of_its_tables(text):
    *recipes, folds = BY_FOLD[text]
    told = {row[0]: row[1:] for row in table_after(NOTEBOOK, text)}
    tables = [[read_results(ROOT / f"studies/levers/{name}/honest-{k}/test.csv") for name in recipes] for k in folds]
    found = [[found_at_two_percent(results) for results in pair] for pair in tables]
    row = "found above the 2 % level of the test part's own Free images"
    assert [f"{a} → {b} of {of}" for (a, _), (b, of) in found] == told[row]
    areas = [[auroc(results) for results in pair] for pair in tables]
    assert [f"{a:.3f} → {b:.3f}" for a, b in areas] == told["AUROC of the images"]


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
