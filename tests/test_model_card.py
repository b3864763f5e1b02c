"""The model card: every figure that it gives is a file's or the network's, and nothing is left to fill in."""

import json
import re
import shutil

import numpy as np
import pytest
import torch
from torch import nn
from training_data import ROOT, SMALL_NETWORK, few_draws, params_with, sample_names, write_knobs, write_project

from tiles import DEFECT_TYPES
from training.errors import DatasetError, EvaluationError, TrainingError
from training.evaluation import other_images
from training.evaluation.figures import Outcomes
from training.evaluation.flat import flat
from training.evaluation.perturbations import PERTURBATIONS
from training.network.segmenter import build_network
from training.network.weights import save_model
from training.reports.card import figure_rows, misses, multiply_adds
from training.stages import evaluate, model_card, novelty, robustness

PARTS = {
    "train": [sample_names(name)[0] for name in ("Crack", "Free")],
    "validation": [sample_names(name)[1] for name in ("Blowhole", "Free")],
    "test": [sample_names(name)[2] for name in (*DEFECT_TYPES, "Free")],
}
KNOBS = {
    **SMALL_NETWORK,
    "train__encoder_weights": None,
    "evaluate__gallery_images": 2,
    "evaluate__robustness": {name: [2] for name in PERTURBATIONS},
    "evaluate__false_alarm_rate": 0.125,
}
PARITY = {
    "images": 6,
    "differing_mask_pixels": 3.25e-08,
    "differing_type_pixels": 0.0,
    "grey_levels": 1,
    "novelty": 2e-06,
    "dice_torch": 0.812345,
    "dice_onnxruntime": 0.812346,
    "dice_difference": 1e-06,
}
PRECISIONS = {
    "served": {"cpu": "int8", "gpu": "fp16"},
    **{
        name: {
            "bytes": size,
            "operating_point": {"threshold": 80, "alarm_score": alarm_score},
            "review_score": 0.2,
            "tiles": {"alarm_score": 0.25, "review_score": None},
            "novelty_limit": 2.75,
            "unfamiliar": {"validation": 1, "test": 3},
            "test": {
                "dice_pooled": dice,
                "dice_by_type": {"Crack": dice},
                "auroc": 0.9,
                "free": {"any_pixel_share": 0.25},
            },
        }
        | speed
        for name, size, alarm_score, dice, speed in (
            ("fp32", 15_300_000, 0.5, 0.8123, {}),
            ("int8", 4_100_000, 0.4321, 0.8113, {"speed_up": 1.93}),
            ("fp16", 7_700_000, 0.5, 0.8122, {}),
        )
    },
}
MACHINE = {"device": "cpu", "threads": 7, "processor": "x86_64", "python": "3.11.7", "torch": "2.14.1"}


def write_inputs(folder):
    """Write what the stages before the card do, by these stages; those of export and quantize alone are made up."""
    write_project(folder, PARTS, **KNOBS)
    params = params_with(**KNOBS)
    configuration = {
        "train": params.train.model_dump(),
        "seed": 4711,
        "split": params.data_split.model_dump(),
        "data_digest": "d1ge57",
        "commit": "c0ffee",
        "dirty": False,
        "machine": MACHINE,
        "seconds": 4321,
    }
    torch.manual_seed(0)
    save_model(build_network(params.train), configuration)
    evaluate.main()
    robustness.main()
    novelty.main()
    (folder / "export").mkdir()
    (folder / "export/parity.json").write_text(json.dumps(PARITY))
    (folder / "export/precisions.json").write_text(json.dumps(PRECISIONS))


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = tmp_path_factory.mktemp("project")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(other_images, "EACH", 2)
        few_draws(patch)
        for stage in (evaluate, robustness, novelty, model_card):
            patch.setattr(stage, "check_packages", dict)  # tested by itself
        write_inputs(folder)
        model_card.main()
        yield folder


@pytest.fixture
def card(project):
    return (project / "docs/model_card.md").read_text()


def in_one_line(card):
    return " ".join(card.split())


@pytest.fixture
def copy(project, tmp_path, monkeypatch):
    """A copy of the project, and the current folder, that a test may change before it makes the card anew."""
    monkeypatch.chdir(shutil.copytree(project, tmp_path / "copy"))
    return tmp_path / "copy"


def made_anew(copy):
    model_card.main()
    return (copy / "docs/model_card.md").read_text()


def change_json(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def cells(card):
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in card.splitlines() if line[:1] == "|"]


def figures_table(card):
    return [row for row in cells(card) if len(row) == 3 and row[0] != "figure" and not row[0].startswith(":-")]


def test_the_card_names_every_figure_of_the_metrics_once_in_its_table(project, card):
    metrics = json.loads((project / "evaluation/metrics.json").read_text())
    figures = flat(metrics["test"])
    told = [row[1] for row in figures_table(card)]
    expected = [str(value) if isinstance(value, int) else f"{value:.3f}" for value in figures.values()]
    assert sorted(expected) == sorted(told)


def test_the_card_tells_the_operating_point_and_the_rate_it_was_chosen_for(project, card):
    point = json.loads((project / "evaluation/metrics.json").read_text())["operating_point"]
    for value in point.values():
        assert f"at least **{value}**" in in_one_line(card)
    assert "12.5 % of the validation part's Free images" in in_one_line(card)


def test_the_card_tells_which_precision_is_served_and_what_each_finds(card):
    rows = {row[0]: row[1:] for row in cells(card) if len(row) == 4}
    assert ["fp32", "int8", "fp16"] == rows["on the test part"]
    assert ["–", "CPUs", "GPUs"] == rows["served on"]
    assert ["–", "1.93", "–"] == rows["times as fast on one core"]
    assert ["0.5", "0.4321", "0.5"] == rows["alarm score"]
    assert ["0.812", "0.811", "0.812"] == rows["Dice of Crack, pooled"]
    assert ["0.250"] * 3 == rows["share of Free images with a false alarm"]


def test_the_card_tells_where_the_weights_come_from_and_how_far_the_export_is(card):
    rows = {row[0]: row[1] for row in cells(card) if len(row) == 2}
    assert ("`c0ffee`", "4711", "4321") == tuple(rows[name] for name in ("commit", "seed", "seconds of training"))
    assert "cpu, 7 threads, x86_64" == rows["device"]
    assert "0.812346" == rows["Dice of ONNX Runtime"]
    assert "git checkout c0ffee" in card
    assert "d1ge57" in card


def test_the_card_has_a_row_for_each_level_of_each_perturbation(card):
    rows = [row for row in cells(card) if len(row) == 6]
    told = [tuple(row[:2]) for row in rows if row[0] in {each.words for each in PERTURBATIONS.values()}]
    expected = {(each.words, level) for each in PERTURBATIONS.values() for level in ("unchanged", "2")}
    assert expected == {(words, level.removesuffix(".0")) for words, level in told}
    assert len(expected) == len(told)


def test_the_card_counts_the_images_of_each_part(card):
    rows = {row[0]: row[1:] for row in reversed(cells(card)) if len(row) == 5}  # the first of two such tables
    images = {part: len(names) for part, names in PARTS.items()}
    assert [sum(images.values()), *images.values()] == [int(cell.split()[0]) for cell in rows["all"]]
    assert "1 (1)" == rows["Fray"][3]


def test_no_placeholder_is_left_and_nothing_else_is_written(project, card):
    assert "{" not in card
    assert "}" not in card
    assert ["model_card.md"] == [path.name for path in (project / "docs").iterdir()]


def test_a_card_of_a_random_split_calls_its_figures_leaky(card, copy):
    for name in ("evaluation/metrics.json", "export/precisions.json"):
        (copy / name).write_text((copy / name).read_text().replace('"test"', '"test_leaky"'))
    write_knobs(copy / "params.yaml", **KNOBS, data_split__method="random")
    split = json.loads((copy / "models/segmenter.json").read_text())["split"]
    change_json(copy / "models/segmenter.json", split=split | {"method": "random"})
    leaky = made_anew(copy)
    assert "**The figures are leaky**" in leaky
    assert "leaky" not in card
    assert figures_table(card) == figures_table(leaky)


@pytest.mark.parametrize(
    ("group", "said"),
    [
        ("casting", "folds by tile, so that no photograph of a test tile is in training."),
        (
            None,
            "folds, each image as an object of its own, because `data_load.group` is null. **The figures may leak**:",
        ),
    ],
)
def test_a_card_of_a_persons_images_says_what_keeps_their_objects_apart(card, copy, group, said):
    write_knobs(copy / "params.yaml", **KNOBS, data_load__table="castings.csv", data_load__group=group)
    own = in_one_line(made_anew(copy))
    assert f"The images are split into 5 {said}" in own
    assert "chosen after looking at the test part" in in_one_line(card)
    assert "chosen after looking at the test part" not in own


@pytest.mark.parametrize(("share", "alarm_score"), [(0.25, 1.0), (0.125, 1.0), (0.25, 0.5)])
def test_a_card_says_where_no_alarm_score_keeps_to_the_rate(copy, share, alarm_score):
    """An eighth of the Free images may raise an alarm."""
    path = copy / "evaluation/metrics.json"
    metrics = json.loads(path.read_text())
    metrics["validation"]["free"]["any_pixel_share"] = share
    change_json(path, validation=metrics["validation"], operating_point={"threshold": 64, "alarm_score": alarm_score})
    said = "12.5 % of the validation part's Free images reach. **No limit keeps to that rate here**: 25.0 % have the"
    assert ((share, alarm_score) == (0.25, 1.0)) == (said in in_one_line(made_anew(copy)))


@pytest.mark.parametrize(
    ("sound_tiles", "said"),
    [
        (1, "**, chosen on the validation tiles by the rule for images. "),
        (0, "**, the score for images, because every validation tile has a defect. "),
    ],
)
def test_a_card_says_what_the_alarm_score_of_tiles_was_chosen_on(copy, sound_tiles, said):
    tiles = json.loads((copy / "evaluation/metrics.json").read_text())["tiles"]
    tiles["validation"]["sound_tiles"] = sound_tiles
    change_json(copy / "evaluation/metrics.json", tiles=tiles)
    assert said in in_one_line(made_anew(copy))


def headings_of(page):
    """The marks by which links name a page's headings."""
    return {words.lower().replace(" ", "-") for words in re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)}


def test_every_link_leads_somewhere_in_the_repository(card):
    targets = {part.split(")")[0] for part in card.split("](")[1:]}
    here = ROOT / "docs"
    assert {t for t in targets if t.startswith("http")} == {"https://doi.org/10.1007/s00371-018-1588-5"}
    for target in targets - {t for t in targets if t.startswith("http")}:
        path, _, heading = target.partition("#")
        assert (here / path).is_file(), target
        assert not heading or heading in headings_of(here / path), target


@pytest.mark.parametrize(
    ("missing", "error", "command"),
    [
        ("models/segmenter.json", TrainingError, "dvc repro train"),
        ("evaluation/metrics.json", EvaluationError, "dvc repro evaluate"),
        ("evaluation/results_test.csv", EvaluationError, "dvc repro evaluate"),
        ("evaluation/plots/robustness/noise.csv", EvaluationError, "dvc repro robustness"),
        ("export/parity.json", EvaluationError, "dvc repro export"),
        ("export/precisions.json", EvaluationError, "dvc repro quantize"),
        ("data/tiles/index.csv", DatasetError, "dvc repro data_load"),
        ("data/split.csv", DatasetError, "dvc repro data_split"),
    ],
)
def test_a_missing_input_names_the_command_that_makes_it_and_keeps_the_old_card(project, card, missing, error, command):
    path = project / missing
    away = shutil.move(path, path.with_suffix(".away"))
    try:
        with pytest.raises(error, match=rf"{missing} is missing: run `{command}`"):
            model_card.main()
    finally:
        shutil.move(away, path)
    assert card == (project / "docs/model_card.md").read_text()


def test_multiply_adds_are_those_of_the_convolutions_for_a_pixel():
    network = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.Conv2d(8, 2, 1)).eval()
    assert 1 * 9 * 8 + 8 * 2 == multiply_adds(network)


def test_a_figure_that_a_part_does_not_have_is_a_dash():
    assert [["Dice of Fray, pooled", "0.250", "–"]] == figure_rows([{"dice_by_type": {"Fray": 0.25}}, {}], ["Fray"])


def outcomes_of(true_positive, false_negative):
    """Outcomes of Break images, each of a tile of its own."""
    count = len(true_positive)
    names, zeros = [str(number) for number in range(count)], [0] * count
    columns = (names, names, ["Break"] * count, true_positive, zeros, false_negative, zeros, zeros)
    return Outcomes(*map(np.array, columns))


@pytest.mark.parametrize(
    ("true_positive", "false_negative", "expected"),
    [
        ([5, 5], [0, 3], "Something is found on every defective image."),
        (
            [0, 5, 9],
            [7, 5, 1],
            "on 1 of 3 defective images; their defects have a median of 7 pixels, those of the others 10.",
        ),
        ([0, 0], [4, 8], "on 2 of 2 defective images; their defects have a median of 6 pixels."),
    ],
)
def test_the_missed_images_are_counted_and_their_defects_sized(
    copy, monkeypatch, true_positive, false_negative, expected
):
    missed = misses(outcomes_of(true_positive, false_negative))
    monkeypatch.setattr("training.reports.card.misses", lambda _: missed)
    assert f"{expected} ![" in in_one_line(made_anew(copy))


@pytest.mark.parametrize(
    ("changes", "by", "rest"),
    [
        ({}, "by tile,", "train."),
        (
            {"validation_tiles": 2},
            "by tile,",
            "train, together with the defective tiles of fold 4 beyond 2 of each type.",
        ),
        ({"validation_tiles": 2, "method": "random"}, "at random.", "train."),
    ],
)
def test_the_folds_are_told_by_their_numbers(copy, changes, by, rest):
    split = {"method": "by_tile", "folds": 5, "test_fold": 1, "validation_fold": 4, "validation_tiles": None}
    change_json(copy / "models/segmenter.json", split=split | changes)
    told = in_one_line(made_anew(copy))
    assert f"into 5 folds {by}" in told
    assert f"Fold 1 tests, fold 4 chooses the operating point, and the other 3 {rest} [model.md]" in told
