"""`python -m workflows.report [--against COMMIT]`: what came out, as Markdown, on the pull request and the run's page.

It reads what the pipeline wrote at HEAD and at another commit; nothing is measured here. CML posts it on the pull
request; where CML can't run, the run's own page holds it all the same.

| variable                              |                                                      |
|---------------------------------------|------------------------------------------------------|
| GITHUB_REPOSITORY, GITHUB_SERVER_URL  | where links to the pictures lead                     |
| REPO_TOKEN                            | for CML: may write on pull requests                  |
"""

import argparse
import csv
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from training.reports.markdown import table
from workflows import cml
from workflows.commands import run, say, succeeds, summarise
from workflows.errors import exit_status, setting

REPORT_FILE = Path("report.md")
METRICS_FILE = "evaluation/metrics.json"
PRECISIONS_FILE = "export/precisions.json"
PARITY_FILE = "export/parity.json"
LOSS_FILE = Path("dvclive/plots/metrics/train/loss.tsv")
DICE_FILE = Path("dvclive/plots/metrics/validation/dice_pooled.tsv")
GALLERY = {"worst": "The worst tiles", "median": "Tiles in the middle", "best": "The best tiles"}
FIGURES = {  # where it stands in a measurement, and what it is called
    "dice_pooled": "Dice, pooled over the defective images",
    "dice_image_mean": "Dice, mean over defective images",
    "dice_type_mean": "Dice, mean over the types",
    "dice_by_type": "Dice of",
    "found_images": "defective images of which something is found",
    "auroc": "defective or not, AUROC",
    "average_precision": "defective or not, average precision",
    "free": "Free images with a false alarm",
}


def main() -> None:
    """Write the report, and bring it to where people look."""
    parser = argparse.ArgumentParser(prog="python -m workflows.report", description="What came out.")
    parser.add_argument("--against", default="origin/dev", help="a commit or branch; default: %(default)s")
    report = render(parser.parse_args().against)
    REPORT_FILE.write_text(report)
    summarise(report)
    if not cml.comment(str(REPORT_FILE)):
        say("there is no CML here: the report is on the run's page alone")


def render(against: str) -> str:
    """Return the whole report."""
    head = run("git", "rev-parse", "HEAD").strip()
    sections = [
        f"## Commit {head[:10]} against {against}",
        changed_parameters(against),
        figures(json_here(METRICS_FILE), json_at(against, METRICS_FILE)),
        training_curves(),
        exported(json_here(PARITY_FILE), json_here(PRECISIONS_FILE)),
        pictures(head),
        f"All figures: [model card]({link(head, 'docs/model_card.md')}).",
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def json_here(path: str) -> dict[str, Any]:
    """Read what the pipeline wrote; empty where it is not there."""
    file = Path(path)
    found: dict[str, Any] = json.loads(file.read_text()) if file.is_file() else {}
    return found


def json_at(commit: str, path: str) -> dict[str, Any]:
    """Read the same of another commit."""
    if not succeeds("git", "rev-parse", "--quiet", "--verify", f"{commit}^{{commit}}"):
        say(f"{commit} is not known here: the report stands alone")
        return {}
    if not run("git", "ls-tree", commit, "--", path):
        return {}
    found: dict[str, Any] = json.loads(run("git", "show", f"{commit}:{path}"))
    return found


def changed_parameters(against: str) -> str:
    """Return what differs in params.yaml, as DVC tells it."""
    if not succeeds("git", "rev-parse", "--quiet", "--verify", f"{against}^{{commit}}"):
        return ""
    return run("dvc", "params", "diff", "--md", against).strip()


def figures(here: dict[str, Any], there: dict[str, Any]) -> str:
    """Return the test figures beside the other commit's, leaky ones under their own name."""
    name = "test" if "test" in here else "test_leaky"
    ours, theirs = flat(here.get(name, {})), flat(there.get(name, {}))
    rows = [
        [label, shown(ours[label]), shown(theirs.get(label)), change(ours[label], theirs.get(label))] for label in ours
    ]
    return table([f"on `{name}`", "here", "there", "change"], rows) if rows else ""


def flat(measured: dict[str, Any]) -> dict[str, float]:
    """Return {what it is called: figure} of a measurement."""
    found: dict[str, float] = {}
    for key, label in FIGURES.items():
        value = measured.get(key)
        if key == "free" and value:
            found[label] = value["any_pixel"]
        elif isinstance(value, dict):
            found |= {f"{label} {kind}": figure for kind, figure in value.items()}
        elif value is not None:
            found[label] = value
    return found


def shown(figure: float | None) -> str:
    """Return a count as it is, a share with three digits."""
    if figure is None:
        return "–"
    return str(figure) if isinstance(figure, int) else f"{figure:.3f}"


def change(here: float, there: float | None) -> str:
    """Return the signed difference."""
    if there is None:
        return ""
    return f"{here - there:+d}" if isinstance(here, int) and isinstance(there, int) else f"{here - there:+.3f}"


def training_curves() -> str:
    """Return loss and validation Dice by epoch as charts that GitHub draws itself."""
    loss, dice = (columns(path) for path in (LOSS_FILE, DICE_FILE))
    charts = [
        chart("training loss", *loss) if loss else "",
        chart("Dice on the validation fold", *dice) if dice else "",
    ]
    return "\n\n".join(drawn for drawn in charts if drawn)


def columns(path: Path) -> tuple[list[float], list[float]] | None:
    """Read steps and values of a DVCLive plot."""
    if not path.is_file():
        return None
    with path.open(newline="") as file:
        rows = [[float(cell) for cell in row] for row in list(csv.reader(file, delimiter="\t"))[1:]]
    return ([row[0] for row in rows], [row[1] for row in rows]) if rows else None


def chart(title: str, steps: Sequence[float], values: Sequence[float]) -> str:
    """Return a line chart in Mermaid's language."""
    return "\n".join(
        [
            "```mermaid",
            "xychart-beta",
            f'  title "{title}"',
            f'  x-axis "epoch" [{", ".join(f"{step:.0f}" for step in steps)}]',
            f"  line [{', '.join(f'{value:.4f}' for value in values)}]",
            "```",
        ]
    )


def exported(parity: dict[str, Any], precisions: dict[str, Any]) -> str:
    """Return how well the exported graphs agree with the network, and how fast they are."""
    rows = []
    if parity:
        rows += [
            ["mask pixels where ONNX Runtime and torch differ", f"{100 * parity['differing_mask_pixels']:.4f} %"],
            ["largest difference between their probabilities", f"{parity['grey_levels']} of 255"],
            ["Dice of torch and of ONNX Runtime", f"{parity['dice_torch']:.4f}, {parity['dice_onnxruntime']:.4f}"],
        ]
    for name, graph in precisions.items():
        if name != "served":
            rows.append([f"{name}: size, Dice on the test fold", f"{graph['bytes'] / 1e6:.1f} MB, {dice_of(graph)}"])
        if "speed_up" in graph:
            rows.append([f"{name}: times as fast as fp32 on one core", f"{graph['speed_up']}"])
    if "served" in precisions:
        rows.append(["served", ", ".join(f"{graph} on {kind}" for kind, graph in precisions["served"].items())])
    return table(["the exported model", ""], rows) if rows else ""


def dice_of(graph: dict[str, Any]) -> str:
    """Return a graph's pooled Dice, leaky or not."""
    return f"{(graph.get('test') or graph['test_leaky'])['dice_pooled']:.3f}"


def pictures(head: str) -> str:
    """Return the galleries as links to the pictures in the repository, which also shows those of a private one."""
    found = {name: Path(f"evaluation/plots/gallery/{name}.png") for name in GALLERY}
    return "\n\n".join(
        f"**{GALLERY[name]}**: image, truth, prediction\n\n![{name}]({link(head, str(path))}?raw=true)"
        for name, path in found.items()
        if path.is_file()
    )


def link(commit: str, path: str) -> str:
    """Return a file's address in the repository."""
    server, repository = setting("GITHUB_SERVER_URL", "https://github.com"), setting("GITHUB_REPOSITORY", "")
    return f"{server}/{repository}/blob/{commit}/{path}"


if __name__ == "__main__":
    sys.exit(exit_status(main))
