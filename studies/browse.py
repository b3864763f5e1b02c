"""Look at images: `python -m studies.browse --type Crack --missed` draws them, their masks and what is found.

The images are chosen from the tables that the stage evaluate wrote. The network that it measured predicts the chosen
images again, for the picture. Only the sheet is written.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from tabulate import tabulate

from studies.browse_sheet import picture
from tiles.operating_point import OperatingPoint
from training.dataset.index import FREE
from training.dataset.samples import load_part
from training.errors import EvaluationError, exit_status
from training.evaluation.figures import Outcomes, dice_each, outcomes_at
from training.evaluation.gallery import stack
from training.evaluation.image_results import read_results, result_of
from training.evaluation.outputs import read_operating_point
from training.evaluation.predict import Prediction, predict
from training.files import EVALUATION_FOLDER, METRICS_FILE, TEST_RESULTS_FILE, VALIDATION_RESULTS_FILE, WEIGHTS_FILE
from training.network.mixed_precision import pick_device, whole_float32
from training.network.served import ServedSegmenter
from training.network.weights import load_model
from training.params import load_params
from training.runs import refuse_mixed_runs

PARTS = {"test": TEST_RESULTS_FILE, "validation": VALIDATION_RESULTS_FILE}  # training images have no figures
SAME_SCORE = 0.01  # between machines a probability may differ by a grey level, 0.004
COLUMNS = ("image", "tile", "type", "found", "Dice", "score", "true px", "missed px", "false px")

ONLY: dict[str, tuple[str, Callable[[Outcomes], np.ndarray]]] = {
    "missed": (
        "only defective images in which no defective pixel is found",
        lambda outcomes: outcomes.defective & (outcomes.true_positive == 0),
    ),
    "false-alarms": (
        "only Free images with a found pixel",
        lambda outcomes: (outcomes.defect_type == FREE) & (outcomes.predicted > 0),
    ),
    "wrong-type": (
        "only found images whose found type is wrong",
        lambda outcomes: (outcomes.true_positive > 0) & (outcomes.found_type != outcomes.defect_type),
    ),
}


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    types = (*load_params().data_load.types, FREE)
    parser = argparse.ArgumentParser(prog="python -m studies.browse", description=__doc__)
    parser.add_argument("--part", choices=PARTS, default="test", help="part of the split; default: %(default)s")
    parser.add_argument("--type", choices=types, nargs="+", help="only images of these types")
    parser.add_argument("--tile", nargs="+", metavar="NAME", help="only the exposures of these tiles")
    parser.add_argument("--image", nargs="+", metavar="NAME", help="only these images")
    only = parser.add_mutually_exclusive_group()
    for name, (words_of_it, _) in ONLY.items():
        only.add_argument(f"--{name}", action="store_const", dest="only", const=name, help=words_of_it)
    parser.add_argument(
        "--sort", choices=("worst", "best"), default="worst", help="by Dice; default: %(default)s first"
    )
    parser.add_argument("--count", type=_positive, default=12, help="images at most; default: %(default)s")
    parser.add_argument("--out", type=_png, default=Path("browse.png"), help="the sheet; default: %(default)s")
    return parser.parse_args(words)


def _positive(word: str) -> int:
    if not word.isdecimal() or int(word) == 0:
        raise argparse.ArgumentTypeError(f"{word}: give a whole number of 1 or more")
    return int(word)


def _png(word: str) -> Path:
    if Path(word).suffix != ".png":
        raise argparse.ArgumentTypeError(f"{word}: give a file name that ends in .png")
    return Path(word)


def matching(outcomes: Outcomes, wanted: argparse.Namespace) -> np.ndarray:
    """Return the indices of the images that match every filter, in the order of --sort.

    Unless a type, a tile or an image is named, images without a defect and without a found pixel are left out.
    """
    chosen = np.ones(len(outcomes), bool)
    named = [(outcomes.defect_type, wanted.type), (outcomes.tile, wanted.tile), (outcomes.name, wanted.image)]
    for column, names in named:
        if names:
            chosen &= np.isin(column, names)
    if not any(names for _, names in named):
        chosen &= outcomes.defective | (outcomes.predicted > 0)
    if wanted.only:
        _, matches = ONLY[wanted.only]
        chosen &= matches(outcomes)
    wrong = outcomes.false_positive + outcomes.false_negative
    dice, worst = dice_each(outcomes), wanted.sort == "worst"
    order = np.lexsort((outcomes.name, -wrong, dice) if worst else (outcomes.name, -outcomes.true_positive, -dice))
    return order[chosen[order]]


def choose(wanted: argparse.Namespace, point: OperatingPoint) -> Outcomes:
    """Return what the tables say about the chosen images.

    Raises: EvaluationError, when no image matches; its message says whether the other part has some.
    """
    outcomes = {part: outcomes_at(read_results(PARTS[part]), point) for part in PARTS}
    chosen = matching(outcomes[wanted.part], wanted)
    if len(chosen):
        print(f"{min(wanted.count, len(chosen))} of {len(chosen)} images of the {wanted.part} part")  # noqa: T201
        return outcomes[wanted.part].take(chosen[: wanted.count])
    (other,) = {*PARTS} - {wanted.part}
    there = len(matching(outcomes[other], wanted))
    advice = (
        f"{there} of the {other} part do: add --part {other}"
        if there
        else "leave a filter out; evaluation/results_*.csv lists the names, and training images have no figures"
    )
    raise EvaluationError(f"no image of the {wanted.part} part matches your filters; {advice}")


def _predict_again(chosen: Outcomes) -> list[Prediction]:
    """Predict the chosen images with the network that was measured, in their order.

    Raises: EvaluationError, when the data lacks one of them or the weights have changed.
    """
    parts = dict.fromkeys(chosen.name, "chosen")
    samples = {sample.entry.name: sample for sample in load_part("chosen", load_params(), parts)}
    if unknown := sorted({*chosen.name} - samples.keys()):
        raise EvaluationError(
            f"data/tiles lacks {', '.join(unknown)}, which {EVALUATION_FOLDER} lists: run `dvc repro evaluate`"
        )
    network, _ = load_model()
    segmenter = ServedSegmenter(network).to(pick_device())
    with whole_float32():
        predictions = list(predict(segmenter, [samples[image] for image in chosen.name], description="predicting"))
    for prediction, score in zip(predictions, chosen.score, strict=True):
        if abs(result_of(prediction).score - score) > SAME_SCORE:
            raise EvaluationError(
                f"the weights in {WEIGHTS_FILE} changed after {EVALUATION_FOLDER} was written: run `dvc repro evaluate`"
            )
    return predictions


def rows(chosen: Outcomes) -> list[tuple[str, ...]]:
    """Return the figures of each image, as text under COLUMNS."""
    columns = (
        chosen.name,
        chosen.tile,
        chosen.defect_type,
        [found or "nothing" for found in chosen.found_type],
        [f"{dice:.3f}" for dice in dice_each(chosen)],
        [f"{score:.3f}" for score in chosen.score],
        chosen.true_positive,
        chosen.false_negative,
        chosen.false_positive,
    )
    return [tuple(map(str, row)) for row in zip(*columns, strict=True)]


def main() -> None:
    """Choose images, print their figures and draw them."""
    wanted = arguments()
    refuse_mixed_runs((METRICS_FILE, TEST_RESULTS_FILE, VALIDATION_RESULTS_FILE, WEIGHTS_FILE))
    point = read_operating_point()
    chosen = choose(wanted, point)
    figures = rows(chosen)
    print(tabulate(figures, COLUMNS, tablefmt="plain", disable_numparse=True))  # noqa: T201
    called = [f"{row[3]}, Dice {row[4]}, score {row[5]}" for row in figures]
    pictures = [picture(p, point, found) for p, found in zip(_predict_again(chosen), called, strict=True)]
    stack(pictures).save(wanted.out)
    print(f"{wanted.out}: image, published mask (blue), contour of what is found (orange)")  # noqa: T201


if __name__ == "__main__":
    sys.exit(exit_status(main))
