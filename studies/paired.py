"""Two recipes on the same test images, with the interval of each difference over the same draws of tiles.

    python -m studies.paired studies/tables studies/levers/five

compares the folds that both folders have. Each fold has its own operating point, chosen on its validation part by the
rule of the stage evaluate. Test images decide here: use it to confirm a recipe that was fixed beforehand.
"""

import argparse
import sys
from pathlib import Path

from tabulate import tabulate

from studies.differences import difference_rows, paired
from studies.runs import HONEST, outcomes_of
from training.errors import StudyError, exit_status
from training.evaluation.figures import join


def compare(first: Path, second: Path) -> list[list[str]]:
    """Compare the folds that both folders have.

    Raises: StudyError, when there is none, or when the folds have other images or masks.
    """
    folds = [{path.parent.name for path in folder.glob(f"{HONEST}*/test.csv")} for folder in (first, second)]
    if not (both := sorted(set.intersection(*folds))):
        raise StudyError(f"{first} and {second} have no fold in common: name folders with {HONEST}<k>/test.csv")
    outcomes = {
        name: join([outcomes_of(folder / fold) for fold in both])
        for name, folder in (("first", first), ("second", second))
    }
    if len({tuple(each.truth) for each in outcomes.values()}) > 1:
        raise StudyError(
            f"{first} and {second} have other test images or masks: both must be of one split of the same data"
        )
    return difference_rows(paired(outcomes))


def main() -> None:
    """Print the comparison."""
    parser = argparse.ArgumentParser(prog="python -m studies.paired", description=__doc__)
    for name in ("first", "second"):
        parser.add_argument(name, type=Path, help=f"a folder with {HONEST}<k>/run.json, test.csv and validation.csv")
    wanted = parser.parse_args()
    header = ["figure", str(wanted.first), str(wanted.second), "difference (95 %)"]
    print(tabulate(compare(wanted.first, wanted.second), header, tablefmt="pipe", disable_numparse=True))  # noqa: T201


if __name__ == "__main__":
    sys.exit(exit_status(main))
