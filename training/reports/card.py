"""The model card: the values for the template card.md.j2, read from the stages' outputs or computed from them.

No figure is typed. The template has the words.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from tiles.canvas import STRIDE
from tiles.operating_point import SCORE_PIXELS, OperatingPoint
from training.dataset.doubtful import doubtful_images
from training.dataset.index import FREE, Entry, read_index
from training.dataset.split import PARTS, read_split
from training.errors import EvaluationError
from training.evaluation.figures import Outcomes, measure, outcomes_at, types_of
from training.evaluation.flat import flat
from training.evaluation.image_results import read_results
from training.evaluation.operating_point import USUAL_THRESHOLD
from training.evaluation.outputs import name_of_test_part, read_metrics, read_operating_point
from training.files import METRICS_FILE, NOVELTY_FIGURES_FILE, PARITY_FILE, PRECISIONS_FILE, TEST_RESULTS_FILE
from training.params import Params
from training.reports.figure_words import COUNTS, TILE_WORDS, VERDICT_WORDS, figure_text, headline
from training.reports.novelty import novelty_rows
from training.reports.robustness import read_curves, robustness_rows
from training.reports.templates import render

TEMPLATE = Path(__file__).with_name("card.md.j2")
INPUTS = {
    METRICS_FILE: "evaluate",
    TEST_RESULTS_FILE: "evaluate",
    NOVELTY_FIGURES_FILE: "novelty",
    PARITY_FILE: "export",
    PRECISIONS_FILE: "quantize",
}
MACS_SIDE = 256  # pixels, of the image on which multiply-adds are counted; a multiple of STRIDE


def render_card(network: nn.Module, configuration: Mapping[str, Any], params: Params) -> str:
    """Return the card.

    Raises: EvaluationError, when a stage has not written its output.
    """
    _refuse_missing()
    metrics, point = read_metrics(), read_operating_point()
    outcomes = outcomes_at(read_results(TEST_RESULTS_FILE), point)
    by_type = {name: measure(outcomes.take(outcomes.defect_type == name)) for name in types_of(outcomes)}
    doubtful = [] if params.data_load.table else doubtful_images()
    precisions = json.loads(PRECISIONS_FILE.read_text(encoding="utf-8"))
    novelty = json.loads(NOVELTY_FIGURES_FILE.read_text(encoding="utf-8"))
    return render(
        TEMPLATE,
        params=params,
        train=configuration["train"],
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        multiply_adds=multiply_adds(network),
        stride=STRIDE,
        doubtful=len(doubtful),
        parts=PARTS,
        images=_data_rows(read_index(), read_split()),
        split=configuration["split"],
        score_pixels=SCORE_PIXELS,
        point=point,
        usual_threshold=USUAL_THRESHOLD,
        beyond_the_rate=_beyond_the_rate(metrics, point, params.evaluate.false_alarm_rate),
        review_score=metrics["review_score"],
        **_figures(metrics, outcomes, doubtful, params),
        by_type=by_type,
        weakest=min(by_type, key=lambda name: by_type[name]["dice_by_type"][name]),
        misses=misses(outcomes),
        tiles=metrics["tiles"],
        tile_rows=tile_rows(metrics["tiles"][name_of_test_part(params)]),
        novelty=novelty,
        novelty_rows=novelty_rows(novelty),
        robustness=robustness_rows(read_curves()),
        parity=json.loads(PARITY_FILE.read_text(encoding="utf-8")),
        precisions=[name for name in precisions if name != "served"],
        precision_rows=_precision_rows(precisions, params),
        configuration=configuration,
    )


def _refuse_missing() -> None:
    """Check that the outputs of evaluate, export and quantize exist.

    Raises: EvaluationError, naming the file and the command that writes it.
    """
    for path, stage in INPUTS.items():
        if not path.is_file():
            raise EvaluationError(f"{path} is missing: run `dvc repro {stage}`, or `git checkout` it")


def _beyond_the_rate(metrics: Mapping[str, Any], point: OperatingPoint, rate: float) -> float | None:
    """Return the share of the validation part's Free images that have the highest score; None if the rate allows it."""
    share: float = metrics["validation"]["free"]["any_pixel_share"]
    return share if point.alarm_score == 1 and share > rate else None


def multiply_adds(network: nn.Module) -> float:
    """Return the multiply-adds for each pixel; only those of convolutions count, as is usual."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, 1, MACS_SIDE, MACS_SIDE))
    return float(counter.get_total_flops()) / 2 / MACS_SIDE**2  # a multiplication and an addition count as two


def _data_rows(entries: Sequence[Entry], parts: Mapping[str, str]) -> list[list[str]]:
    """Return the number of images, and in brackets of tiles, of each type: in all parts together and in each part."""

    def count(types: Sequence[str], chosen: Sequence[str]) -> str:
        tiles = [entry.tile for entry in entries if entry.defect_type in types and parts[entry.name] in chosen]
        return f"{len(tiles)} ({len(set(tiles))})"

    types = [*sorted({entry.defect_type for entry in entries} - {FREE}), FREE]
    rows = [(name, [name]) for name in types] + [("all", types)]
    return [[name, count(of, PARTS), *(count(of, [part]) for part in PARTS)] for name, of in rows]


def _figures(metrics: Mapping[str, Any], outcomes: Outcomes, doubtful: Sequence[str], params: Params) -> dict[str, Any]:
    """Return columns and rows of the table of figures: of the test part, with and without doubtful images."""
    columns = {"test part": metrics[name_of_test_part(params)]}
    if not params.data_load.table:
        certain = outcomes.take(~np.isin(outcomes.name, doubtful))
        columns[f"without its {len(outcomes) - len(certain)} doubtful images"] = measure(certain)
    return {"figure_columns": list(columns), "figures": figure_rows(list(columns.values()), params.data_load.types)}


def figure_rows(columns: Sequence[Mapping[str, Any]], types: Sequence[str]) -> list[list[str]]:
    """Return every figure's words and values; columns: measurements that `evaluation.figures.measure` returned."""
    found = [flat(figures) for figures in columns]
    return [
        [words, *(figure_text(column.get(name)) for column in found)]
        for name, words in (COUNTS | headline(types) | VERDICT_WORDS).items()
        if any(name in column for column in found)
    ]


def tile_rows(figures: Mapping[str, Any]) -> list[list[str]]:
    """Return each figure by tile, with its interval where there is one. figures: as metrics.json has them."""
    bounds = {name: f" ({ends['low']:.3f}–{ends['high']:.3f})" for name, ends in figures["interval"].items()}
    return [
        [words, figure_text(figures[name]) + bounds.get(name, "")]
        for name, words in (TILE_WORDS | VERDICT_WORDS).items()
        if name in figures
    ]


def misses(outcomes: Outcomes) -> dict[str, Any]:
    """Return how many defective images are missed, and the median size in pixels of missed and of found defects."""
    defective = outcomes.take(outcomes.defective)
    pixels, missed = defective.true_positive + defective.false_negative, defective.true_positive == 0
    return {
        "images": int(missed.sum()),
        "of": len(defective),
        "pixels": float(np.median(pixels[missed])) if missed.any() else None,
        "pixels_of_others": float(np.median(pixels[~missed])) if not missed.all() else None,
    }


def _precision_rows(found: Mapping[str, Any], params: Params) -> list[list[str]]:
    """Return each precision's size, speed and figures on the test part. found: export/precisions.json."""
    names = [name for name in found if name != "served"]
    served = {name: [processor for processor, chosen in found["served"].items() if chosen == name] for name in names}
    figures = {name: flat(found[name][name_of_test_part(params)]) for name in names}
    rows: dict[str, list[str]] = {
        "served on": [", ".join(f"{processor.upper()}s" for processor in served[name]) or "–" for name in names],
        "megabytes": [f"{found[name]['bytes'] / 1e6:.1f}" for name in names],
        "times as fast on one core": [str(found[name].get("speed_up", "–")) for name in names],
        "alarm score": [str(found[name]["operating_point"]["alarm_score"]) for name in names],
        "threshold": [str(found[name]["operating_point"]["threshold"]) for name in names],
        "review score": [_limit(found[name]["review_score"]) for name in names],
        "alarm score of tiles": [_limit(found[name]["tiles"]["alarm_score"]) for name in names],
        "review score of tiles": [_limit(found[name]["tiles"]["review_score"]) for name in names],
        "limit of novelty": [str(found[name]["novelty_limit"]) for name in names],
        "unfamiliar test images": [str(found[name]["unfamiliar"][name_of_test_part(params)]) for name in names],
    }
    words = {name: text for name, text in headline(params.data_load.types).items() if name in figures["fp32"]}
    rows |= {text: [figure_text(figures[name].get(figure)) for name in names] for figure, text in words.items()}
    return [[name, *values] for name, values in rows.items()]


def _limit(score: float | None) -> str:
    return "–" if score is None else str(score)
