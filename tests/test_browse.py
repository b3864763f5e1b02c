"""Looking at images: the filters, the order, the sheet, and what is said when there is nothing to look at."""

import csv
import shutil

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image
from training_data import ROOT, SAMPLE_TILES, real_sample, unhurried, write_project

from studies.browse import arguments, main, matching
from studies.browse_sheet import LINE, contour
from tiles import DEFECT_TYPES
from tiles.operating_point import score
from tiles.pictures import side_by_side
from training.errors import DatasetError, EvaluationError, TrainingError
from training.evaluation.figures import Outcomes
from training.evaluation.outputs import read_operating_point
from training.evaluation.predict import predict
from training.network.served import ServedSegmenter
from training.network.weights import load_model, save_model

WEIGHTS = ("models/segmenter.json", "models/segmenter.safetensors")
MISSED = "exp4_num_105851"
FINE = "exp4_num_109286"
MEASURED = {row["image"]: row for row in csv.DictReader((ROOT / "evaluation/images.csv").read_text().splitlines())}


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory):
    """The sample tiles, all but the cracks tested, with the shipped network and its tables of these images."""
    folder = tmp_path_factory.mktemp("evaluated")
    names = [f"{path.parts[-3].removeprefix('MT_')}/{path.stem}" for path in sorted(SAMPLE_TILES.rglob("*.jpg"))]
    cracks = [name for name in names if name.startswith("Crack")]
    write_project(folder, {"test": [name for name in names if name not in cracks], "validation": cracks})
    for path in ("evaluation/metrics.json", "evaluation/results_test.csv", *WEIGHTS):
        (folder / path).parent.mkdir(exist_ok=True)
        shutil.copyfile(ROOT / path, folder / path)
    table = folder / "evaluation/results_test.csv"
    header, *lines = table.read_text().splitlines(keepends=True)
    images = {name.split("/")[1]: name in cracks for name in names}
    for part in ("test", "validation"):
        chosen = [line for line in lines if images.get(line.split(",")[0]) is (part == "validation")]
        table.with_name(f"results_{part}.csv").write_text(header + "".join(chosen))
    return folder


@pytest.fixture(autouse=True)
def in_the_project(evaluated, tmp_path, monkeypatch):
    """A copy that a test may break."""
    shutil.copytree(evaluated, tmp_path / "project")
    monkeypatch.chdir(tmp_path / "project")
    return tmp_path / "project"


def look(monkeypatch, capsys, *words):
    """Run the command; the printed rows, a list of cells each, without the header."""
    monkeypatch.setattr("sys.argv", ["browse", *words])
    main()
    _, _, *rows, _ = capsys.readouterr().out.splitlines()
    return [row.split() for row in rows]


def test_the_worst_images_of_a_type_come_first_with_the_figures_that_were_measured(monkeypatch, capsys):
    rows = look(monkeypatch, capsys, "--type", "Break")
    measured = [MEASURED[row[0]] for row in rows]
    assert {"Break"} == {row["type"] for row in measured}
    assert sorted(rows, key=lambda row: float(row[4])) == rows
    assert [(m["true_positive"], m["false_negative"], m["false_positive"]) for m in measured] == [
        tuple(row[6:]) for row in rows
    ]
    assert [float(m["dice"]) for m in measured] == pytest.approx([float(row[4]) for row in rows], abs=0.001)


def test_the_best_come_first_when_asked_and_no_more_than_asked(monkeypatch, capsys):
    rows = look(monkeypatch, capsys, "--type", "Break", "Uneven", "--sort", "best", "--count", "3")
    dice = [float(MEASURED[row[0]]["dice"]) for row in rows]
    everything = [float(row["dice"]) for image, row in MEASURED.items() if row["type"] in ("Break", "Uneven")]
    assert 3 == len(rows)
    assert sorted(dice, reverse=True) == dice
    assert dice[-1] > np.median(everything)


def test_the_sheet_shows_each_image_its_published_mask_and_the_contour_of_what_is_found(monkeypatch, capsys):
    look(monkeypatch, capsys, "--image", FINE, "--out", "one.png")
    sample, point = real_sample(f"Uneven/{FINE}"), read_operating_point()
    (prediction,) = predict(ServedSegmenter(load_model()[0]), [sample], description="test")
    found = point.mask(prediction.probability)
    dice = 2 * (found & sample.mask).sum() / (found.sum() + sample.mask.sum())
    assert dice > 0.95
    captions = [f"{FINE}, tile 109232", "published: Uneven, 70733 px"]
    captions.append(f"found: Uneven, Dice {dice:.3f}, score {score(prediction.probability):.3f}")
    expected = side_by_side(sample.image, sample.mask, contour(found), captions)
    with Image.open("one.png") as sheet:
        np.testing.assert_array_equal(np.asarray(expected), np.asarray(sheet))


def test_a_tile_brings_its_exposures(monkeypatch, capsys):
    rows = look(monkeypatch, capsys, "--tile", MEASURED[MISSED]["tile"])
    assert {MISSED, "exp2_num_105807"} == {row[0] for row in rows}


def outcomes(*rows):
    """rows: (image, defect type, true positive, false positive, false negative, found type, 0–5)."""
    images, types, *counts, found = (np.array(column) for column in zip(*rows, strict=True))
    return Outcomes(images, images, types, *counts, np.array(["", *DEFECT_TYPES])[found], np.zeros(len(images)))


SEEN = outcomes(
    ("fine", "Crack", 90, 10, 0, 3),
    ("half", "Crack", 50, 0, 50, 3),
    ("called a break", "Crack", 80, 0, 20, 2),
    ("beside", "Blowhole", 0, 30, 40, 1),
    ("not found", "Blowhole", 0, 0, 40, 0),
    ("quiet", "Free", 0, 0, 0, 0),
    ("alarm", "Free", 0, 5, 0, 1),
    ("large alarm", "Free", 0, 500, 0, 1),
    ("empty mask", "Uneven", 0, 0, 0, 0),
)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("", ["large alarm", "beside", "not found", "alarm", "half", "called a break", "fine"]),
        ("--sort best", ["fine", "called a break", "half", "alarm", "beside", "large alarm", "not found"]),
        ("--missed", ["beside", "not found"]),
        ("--false-alarms", ["large alarm", "alarm"]),
        ("--wrong-type", ["called a break"]),
        ("--type Crack Uneven", ["half", "called a break", "fine", "empty mask"]),
        ("--type Free", ["large alarm", "alarm", "quiet"]),
        ("--type Crack --missed", []),
        ("--image quiet half", ["half", "quiet"]),
        ("--tile quiet", ["quiet"]),
    ],
)
def test_filters_add_up_and_equals_are_told_apart_by_their_wrong_pixels(words, expected):
    assert expected == [str(image) for image in SEEN.name[matching(SEEN, arguments(words.split()))]]


def test_what_is_nowhere_here_names_the_part_that_has_it(monkeypatch):
    monkeypatch.setattr("sys.argv", ["browse", "--type", "Crack"])
    with pytest.raises(
        EvaluationError, match=r"no image of the test part .* 4 of the validation part .* --part validation"
    ):
        main()


def test_what_is_nowhere_at_all_says_so(monkeypatch):
    monkeypatch.setattr("sys.argv", ["browse", "--image", "exp9_num_1"])
    with pytest.raises(EvaluationError, match="leave a filter out"):
        main()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--type Scratch", "Blowhole"),
        ("--part train", "validation"),
        ("--count 0", "a whole number of 1 or more"),
        ("--out sheet.jpg", "a file name that ends in .png"),
        ("--missed --false-alarms", "not allowed with"),
    ],
)
def test_a_wrong_argument_is_answered_by_what_it_may_be(words, said, capsys):
    with pytest.raises(SystemExit):
        arguments(words.split())
    assert said in capsys.readouterr().err


def test_data_that_was_not_pulled_names_the_command_that_brings_it(in_the_project, monkeypatch):
    shutil.rmtree(in_the_project / "data")
    monkeypatch.setattr("sys.argv", ["browse"])
    with pytest.raises(DatasetError, match="`dvc pull`"):
        main()


def test_a_missing_network_names_the_command_that_brings_it(in_the_project, monkeypatch):
    (in_the_project / "models/segmenter.safetensors").unlink()
    monkeypatch.setattr("sys.argv", ["browse"])
    with pytest.raises(TrainingError, match=r"segmenter\.safetensors is missing: .* or `git checkout` it"):
        main()


def test_another_network_than_the_measured_one_is_refused(monkeypatch):
    network, configuration = load_model()
    torch.nn.init.zeros_(network.head[0].weight)
    save_model(network, configuration)
    monkeypatch.setattr("sys.argv", ["browse", "--type", "Uneven"])
    with pytest.raises(EvaluationError, match="changed after evaluation was written: run `dvc repro evaluate`"):
        main()


def test_tables_of_other_data_are_refused(in_the_project, monkeypatch):
    shutil.copyfile(ROOT / "evaluation/results_test.csv", in_the_project / "evaluation/results_test.csv")
    monkeypatch.setattr("sys.argv", ["browse", "--count", "272"])
    with pytest.raises(EvaluationError, match=r"data/tiles lacks exp.*, which evaluation lists"):
        main()


@unhurried
@given(mask=arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=12)))
def test_a_contour_lies_around_the_mask_and_hides_none_of_it(mask):
    line = contour(mask)
    assert not (line & mask).any()
    rows, columns = np.nonzero(mask)
    steps = [(np.abs(rows - row) + np.abs(columns - column)).min() for row, column in np.argwhere(line)]
    assert all(step <= LINE for step in steps)
    assert mask.all() or not mask.any() or line.any()
