"""Which models are published: those that reach the minima or are not worse than the last, and others with a reason."""

import numpy as np
import onnx
import pytest
from tiny_graph import tiny_graph
from training_data import a_sample, params_with

from tiles import DEFECT_TYPES
from tiles.operating_point import OperatingPoint
from training.errors import ExportError
from training.evaluation.figures import measure, outcomes_at
from training.evaluation.image_results import result_of
from training.graphs.publication import PUBLISHED, admit
from training.graphs.repository import label
from training.graphs.session import open_session, predict_onnx

POINT = OperatingPoint(threshold=128, alarm_score=0.5)
SERVED = {"cpu": "int8", "gpu": "fp16"}
DIGEST = "da7a"
GOOD, BAD = {"slope": 20.0}, {"slope": -20.0}  # the defects are bright: BAD marks what is sound


def bright_square(number, tile=""):
    """A dark image, every second one with a bright square that is its defect."""
    image, mask = np.full((64, 64), 10, np.uint8), np.zeros((64, 64), bool)
    if number % 2:
        image[20:44, 20:44], mask[20:44, 20:44] = 250, True
    return a_sample(image, mask, defect_type="Crack" if number % 2 else "Free", name=str(number), tile=tile)


TEST = [bright_square(number) for number in range(12)]


def outcomes(path):
    return outcomes_at([result_of(each) for each in predict_onnx(open_session(path), TEST, description="")], POINT)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("training.graphs.publication.SAMPLES", 20)
    for path in PUBLISHED.values():
        path.parent.mkdir(parents=True, exist_ok=True)
    return tmp_path


def graph(path, slope, types=DEFECT_TYPES, digest=DIGEST):
    onnx.save(tiny_graph(slope=slope), path)
    told = {"model.threshold": "128", "model.alarm_score": "0.5", "model.types": ",".join(types)}
    label(path, told | {"model.data_digest": digest})
    return path


def ask(folder, slope, part="test", test=TEST, **knobs):
    """Ask for the admission of a model whose int8 and fp16 are the same graph."""
    graphs = {name: graph(folder / f"{name}.onnx", slope) for name in ("int8", "fp16")}
    figures = {part: measure(outcomes(graphs["int8"])), "operating_point": {"threshold": 128, "alarm_score": 0.5}}
    params = params_with(**{f"quantize__{name}": value for name, value in knobs.items()})
    return admit(graphs, SERVED, dict.fromkeys(graphs, figures), test, params.quantize, data_digest=DIGEST)


def publish(slope, **more):
    for path in PUBLISHED.values():
        graph(path, slope, **more)


def test_a_model_that_reaches_the_minima_is_published_and_tells_nothing(folder):
    assert {} == ask(folder, **GOOD)


@pytest.mark.parametrize("part", ["test", "test_leaky"])
def test_the_first_model_that_misses_them_is_refused_with_both_figures(folder, part):
    """Figure: of a model with Dice below the minimum, 0 are published without a stated reason."""
    with pytest.raises(ExportError, match=r"stays as it was") as refusal:
        ask(folder, **BAD, part=part)
    said = str(refusal.value)
    assert "int8: dice_pooled of the test images is 0.0020, at least 0.8" in said
    assert "fp16: auroc of the test images is" in said
    assert "no published model to compare with" in said


def test_a_worse_model_than_the_published_one_is_refused_with_the_interval(folder):
    publish(**GOOD)
    with pytest.raises(ExportError, match=r"dice_pooled differs from the published model's by -\S+ to -\S+ \(95 %"):
        ask(folder, **BAD)


def test_a_model_that_misses_the_minima_but_is_not_worse_than_the_published_one_is_published(folder):
    publish(**BAD)
    assert {} == ask(folder, **BAD)


def test_a_better_model_than_the_published_one_is_published_although_it_misses_a_minimum(folder):
    publish(**BAD)
    assert {} == ask(folder, **GOOD, min_dice_pooled=0.999)  # its Dice is 0.9965


def test_a_model_whose_missed_figure_one_tile_alone_decides_is_not_compared_in_it(folder):
    publish(**BAD)
    test = [bright_square(number, tile="one" if number % 2 else "") for number in range(12)]
    with pytest.raises(ExportError, match="int8: one tile alone decides dice_pooled, so it cannot be compared"):
        ask(folder, **BAD, test=test, min_auroc=0.0)


def test_a_published_model_that_was_trained_on_other_data_is_not_compared(folder):
    publish(**BAD, digest="others")
    with pytest.raises(ExportError, match="no published model to compare with: it was trained on other data, perhaps"):
        ask(folder, **BAD)


def test_a_reason_overrides_and_travels_with_the_model(folder, capsys):
    publish(**GOOD)
    reason = "to measure the worst case"
    assert {"model.published_anyway": reason} == ask(folder, **BAD, publish_anyway=reason)
    assert "dice_pooled of the test images is 0.00" in capsys.readouterr().out


def test_a_reason_that_was_not_needed_is_not_told(folder):
    assert {} == ask(folder, **GOOD, publish_anyway="just in case")


@pytest.mark.parametrize("content", [b"", b"no graph", None], ids=["empty", "damaged", "of other types"])
def test_a_published_model_that_cannot_be_measured_is_none(folder, content):
    publish(**BAD, types=("Scratch",))
    if content is not None:
        for path in PUBLISHED.values():
            path.write_bytes(content)
    with pytest.raises(ExportError, match="no published model to compare with"):
        ask(folder, **BAD)


def test_a_figure_that_is_no_number_reaches_no_minimum(folder):
    graphs = {name: graph(folder / f"{name}.onnx", **BAD) for name in ("int8", "fp16")}
    figures = {"test": {"dice_pooled": float("nan")}, "operating_point": {"threshold": 128, "alarm_score": 0.5}}
    with pytest.raises(ExportError, match="dice_pooled of the test images is nan"):
        admit(graphs, SERVED, dict.fromkeys(graphs, figures), TEST, params_with().quantize, data_digest=DIGEST)
