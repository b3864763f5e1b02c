"""`python -m workflows.comment [--against COMMIT]`: the results of HEAD, as Markdown, on the pull request and run page.

It compares what the pipeline wrote at HEAD and at another commit; nothing is measured here. Results of several runs
are refused. CML posts it on the pull request; without CML, it is only on the run's own page. The words are in
comment.md.j2, those of the figures in training/reports/figure_words.py.

| variable                              |                                                      |
|---------------------------------------|------------------------------------------------------|
| GITHUB_REPOSITORY, GITHUB_SERVER_URL  | the repository that links to pictures lead to        |
| REPO_TOKEN                            | for CML: may write on pull requests                  |
"""

import argparse
import csv
import json
import re
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

from host.commit import extract
from training.evaluation.flat import flat, tested_part
from training.reports import templates
from training.reports.figure_words import COUNTS, figure_text, headline
from training.runs import stale_stage
from workflows import cml
from workflows.commands import dvc, head_commit, is_commit, say, summarise
from workflows.errors import ResultsError, exit_status, setting

TEMPLATE = Path(__file__).with_name("comment.md.j2")
COMMENT_FILE = Path("comment.md")
METRICS_FILE = Path("evaluation/metrics.json")
PRECISIONS_FILE = Path("export/precisions.json")
PARITY_FILE = Path("export/parity.json")
LOCK_FILE = "dvc.lock"
CURVES = {
    "training loss": Path("dvclive/plots/metrics/train/loss.tsv"),
    "Dice on the validation fold": Path("dvclive/plots/metrics/validation/dice_pooled.tsv"),
}
GALLERY = {
    "worst": "The worst images",
    "median": "Images in the middle",
    "best": "The best images",
}
FIGURES = (  # of the test measurement, in this order; figure_words has their words
    "dice_pooled",
    "dice_image_mean",
    "dice_type_mean",
    "dice_by_type",
    "found_images",
    "auroc",
    "average_precision",
    "free.any_pixel",
)


def main() -> None:
    """Write the comment, and show it on the run's page and the pull request."""
    parser = argparse.ArgumentParser(prog="python -m workflows.comment", description="The results of HEAD.")
    parser.add_argument("--against", default="origin/dev", help="a commit or branch; default: %(default)s")
    comment = render(parser.parse_args().against)
    COMMENT_FILE.write_text(comment, encoding="utf-8")
    summarise(comment)
    if not cml.comment(str(COMMENT_FILE)):
        say("CML is not installed: the comment is only on the run's page")


def render(against: str) -> str:
    """Return the comment.

    Raises: ResultsError, when the results are not of one run.
    """
    if stale := stale_stage(path for path in (METRICS_FILE, PRECISIONS_FILE, PARITY_FILE) if path.is_file()):
        raise ResultsError(f"{stale.reason}: run `dvc repro {stale.stage}`")
    known = is_commit(against)
    if not known:
        say(f"the commit {against} does not exist here: there is nothing to compare with")
    metrics, theirs = json_here(METRICS_FILE), metrics_at(against) if known else {}
    comment = templates.render(
        TEMPLATE,
        link=partial(link, head_commit()),
        head=head_commit(),
        against=against,
        parameters=dvc("params", "diff", "--md", against).strip() if known else "",
        measurement=tested_part(metrics),
        figures=compared(*(figures(each.get(tested_part(metrics), {})) for each in (metrics, theirs))),
        curves={title: found for title, path in CURVES.items() if (found := curve(path))},
        parity=json_here(PARITY_FILE),
        precisions=json_here(PRECISIONS_FILE),
        pictures={name: path for name in GALLERY if (path := Path(f"evaluation/plots/gallery/{name}.png")).is_file()},
        gallery=GALLERY,
    )
    return re.sub(r"\n{3,}", "\n\n", comment).strip() + "\n"


def json_here(path: Path) -> dict[str, Any]:
    """Read a JSON file that the pipeline wrote; empty if there is none."""
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return found


def metrics_at(commit: str) -> dict[str, Any]:
    """Read the metrics of another commit; empty if they are not of its model."""
    with tempfile.TemporaryDirectory() as folder:
        extract(commit, Path(folder), LOCK_FILE, str(METRICS_FILE))
        if (Path(folder) / METRICS_FILE).is_file() and (stale := stale_stage([METRICS_FILE], Path(folder))):
            say(f"there is nothing to compare with: at {commit} {stale.reason}")
            return {}
        return json_here(Path(folder) / METRICS_FILE)


def figures(measured: dict[str, Any]) -> dict[str, float]:
    """Return {what it is called: figure} of a measurement; empty if there is none."""
    words, found = COUNTS | headline(list(measured.get("dice_by_type", {}))), flat(measured)
    chosen = [name for key in FIGURES for name in found if name == key or name.startswith(f"{key}.")]
    return {words[name]: found[name] for name in chosen}


def compared(here: dict[str, float], there: dict[str, float]) -> list[list[str]]:
    """Return the rows of the table: figure, here, there, signed difference."""
    rows = []
    for label, ours in here.items():
        theirs = there.get(label)
        change = "" if theirs is None else f"{ours - theirs:+{'d' if isinstance(ours, int) else '.3f'}}"
        rows.append([label, figure_text(ours), figure_text(theirs), change])
    return rows


def curve(path: Path) -> list[tuple[float, float]]:
    """Read steps and values of a DVCLive plot; empty if there is none."""
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [(float(step), float(value)) for step, value in list(csv.reader(file, delimiter="\t"))[1:]]


def link(commit: str, path: Path | str) -> str:
    """Return a file's address in the repository."""
    server, repository = setting("GITHUB_SERVER_URL", "https://github.com"), setting("GITHUB_REPOSITORY", "")
    return f"{server}/{repository}/blob/{commit}/{path}"


if __name__ == "__main__":
    sys.exit(exit_status(main))
