"""`python -m workflows.comment [--against COMMIT]`: the results of HEAD, as Markdown, on the pull request and run page.

It compares what the pipeline wrote at HEAD and at another commit; nothing is measured here. CML posts it on the pull
request; without CML, it is on the run's own page alone. The words stand in comment.md.j2.

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
from functools import partial
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from tabulate import tabulate

from host.commit import git
from workflows import cml
from workflows.commands import head_commit, is_commit, run, say, summarise
from workflows.errors import exit_status, setting

TEMPLATE = Path(__file__).with_name("comment.md.j2")
COMMENT_FILE = Path("comment.md")
METRICS_FILE = Path("evaluation/metrics.json")
PRECISIONS_FILE = Path("export/precisions.json")
PARITY_FILE = Path("export/parity.json")
CURVES = {
    "training loss": Path("dvclive/plots/metrics/train/loss.tsv"),
    "Dice on the validation fold": Path("dvclive/plots/metrics/validation/dice_pooled.tsv"),
}
GALLERY = {
    "worst": "The worst images",
    "median": "Images in the middle",
    "best": "The best images",
}
FIGURES = {  # keys of the test measurement, and what they are called
    "dice_pooled": "Dice, pooled over the defective images",
    "dice_image_mean": "Dice, mean over the defective images",
    "dice_type_mean": "Dice, mean over the defect types",
    "dice_by_type": "Dice of",
    "found_images": "defective images in which a defect is found",
    "auroc": "defective or not, AUROC",
    "average_precision": "defective or not, average precision",
    "free": "Free images with a false alarm",
}


def main() -> None:
    """Write the comment, and show it where people look."""
    parser = argparse.ArgumentParser(prog="python -m workflows.comment", description="The results of HEAD.")
    parser.add_argument("--against", default="origin/dev", help="a commit or branch; default: %(default)s")
    comment = render(parser.parse_args().against)
    COMMENT_FILE.write_text(comment)
    summarise(comment)
    if not cml.comment(str(COMMENT_FILE)):
        say("CML is not installed: the comment is on the run's page alone")


def render(against: str) -> str:
    """Return the comment."""
    known = is_commit(against)
    if not known:
        say(f"the commit {against} does not exist here: there is nothing to compare with")
    template = Environment(  # noqa: S701 - Markdown, not HTML: there is nothing to escape
        loader=FileSystemLoader(TEMPLATE.parent), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    ).get_template(TEMPLATE.name)
    metrics = json_here(METRICS_FILE)
    comment = template.render(
        table=partial(tabulate, tablefmt="pipe", disable_numparse=True),
        link=partial(link, head_commit()),
        head=head_commit(),
        against=against,
        parameters=run("dvc", "params", "diff", "--md", against).strip() if known else "",
        measurement=measurement(metrics),
        figures=compared(figures(metrics), figures(json_at(against, METRICS_FILE)) if known else {}),
        curves={title: found for title, path in CURVES.items() if (found := curve(path))},
        parity=json_here(PARITY_FILE),
        precisions=json_here(PRECISIONS_FILE),
        pictures={name: path for name in GALLERY if (path := Path(f"evaluation/plots/gallery/{name}.png")).is_file()},
        gallery=GALLERY,
    )
    return re.sub(r"\n{3,}", "\n\n", comment).strip() + "\n"


def json_here(path: Path) -> dict[str, Any]:
    """Read a file that the pipeline wrote; empty if it is not there."""
    found: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
    return found


def json_at(commit: str, path: Path) -> dict[str, Any]:
    """Read the same of another commit."""
    found: dict[str, Any] = json.loads(git("show", f"{commit}:{path}") or "{}")
    return found


def measurement(metrics: dict[str, Any]) -> str:
    """Return the key of the test figures; those of a random split are called leaky."""
    return "test" if "test" in metrics else "test_leaky"


def figures(metrics: dict[str, Any]) -> dict[str, float]:
    """Return {what it is called: figure} of the test measurement."""
    measured = metrics.get(measurement(metrics), {})
    found: dict[str, float] = {}
    for key, label in FIGURES.items():
        value = measured.get(key)
        if key == "free" and value:
            found[label] = value["any_pixel"]
        elif isinstance(value, dict):
            found |= {f"{label} {defect_type}": figure for defect_type, figure in value.items()}
        elif value is not None:
            found[label] = value
    return found


def compared(here: dict[str, float], there: dict[str, float]) -> list[list[str]]:
    """Return the rows of the table: figure, here, there, signed difference."""
    rows = []
    for label, ours in here.items():
        theirs = there.get(label)
        change = "" if theirs is None else f"{ours - theirs:+{'d' if isinstance(ours, int) else '.3f'}}"
        rows.append([label, shown(ours), shown(theirs), change])
    return rows


def shown(figure: float | None) -> str:
    """Return a count as it is, a share with three digits, a dash if there is none."""
    if figure is None:
        return "–"
    return str(figure) if isinstance(figure, int) else f"{figure:.3f}"


def curve(path: Path) -> list[tuple[float, float]]:
    """Read steps and values of a DVCLive plot; empty if it is not there."""
    if not path.is_file():
        return []
    with path.open(newline="") as file:
        return [(float(step), float(value)) for step, value in list(csv.reader(file, delimiter="\t"))[1:]]


def link(commit: str, path: Path | str) -> str:
    """Return a file's address in the repository."""
    server, repository = setting("GITHUB_SERVER_URL", "https://github.com"), setting("GITHUB_REPOSITORY", "")
    return f"{server}/{repository}/blob/{commit}/{path}"


if __name__ == "__main__":
    sys.exit(exit_status(main))
