"""Paired comparisons, and what int8 costs: the tables of a quantized graph's answers."""

import json
import re
import shutil

import numpy as np
import onnx
import pytest
from tiny_graph import tiny_graph
from training_data import ROOT, params_with, real_sample, sample_names

from studies import differences, report
from studies.differences import difference_rows, paired
from studies.int8 import TEST, VALIDATION, int8_outcomes, refused_int8, write_int8
from studies.paired import compare, main
from training.errors import StudyError
from training.evaluation.figures import join, measure, outcomes_at
from training.evaluation.image_results import read_results, write_results
from training.evaluation.operating_point import choose_operating_point
from training.params import load_params

RATE = 0.035
FOLDS = [ROOT / f"studies/tables/honest-{fold}" for fold in (3, 4)]


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """Two folds whose int8 graphs answer as float32 does."""
    monkeypatch.setattr(differences, "SAMPLES", 20)
    for fold in FOLDS:
        shutil.copytree(fold, tmp_path / fold.name)
        for full, quantized in (("validation.csv", VALIDATION), ("test.csv", TEST)):
            shutil.copyfile(fold / full, tmp_path / fold.name / quantized)
    return sorted(tmp_path.iterdir())


def full_outcomes(folders):
    validation, test = ([read_results(f / f"{part}.csv") for f in folders] for part in ("validation", "test"))
    points = [choose_operating_point(results, RATE) for results in validation]
    return join([outcomes_at(*pair) for pair in zip(test, points, strict=True)])


def cells(table):
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]


def test_equal_answers_cost_nothing(folders):
    price = paired({"fp32": full_outcomes(folders), "int8": int8_outcomes(folders, RATE)})
    assert {(0.0, 0.0)} == {found["interval"] for found in price.values()}
    assert all(found["int8"] == found["fp32"] for found in price.values())
    assert {"dice_pooled", "dice_by_type.Fray", "auroc"} <= price.keys()
    told = {row[-1] for row in difference_rows(price)}
    assert {"**+0.0000** (+0.0000 to +0.0000)", "**+0** (+0 to +0)"} == told


def test_what_the_pipeline_would_not_serve_loses_more_than_allowed(folders):
    params = load_params(ROOT / "params.yaml")
    assert {} == refused_int8(folders, params)
    nothing_allowed = params_with(quantize__max_dice_loss=0, quantize__max_dice_loss_of_type=0)
    measured = json.loads((ROOT / "export/precisions.json").read_text())["int8"]["dice_loss"]  # by the stage quantize
    shipped = refused_int8([ROOT / "studies/tables/honest-4"], nothing_allowed)
    assert {name for name, loss in measured.items() if loss > 0} == shipped["honest-4"].keys()
    assert shipped["honest-4"] == pytest.approx({name: measured[name] for name in shipped["honest-4"]}, abs=1e-4)


def test_what_finds_nothing_has_figures_without_an_interval(folders):
    found = full_outcomes(folders)
    nothing = found.take(np.arange(len(found)))
    nothing.true_positive[:] = nothing.false_positive[:] = 0
    price = paired({"fp32": found, "int8": nothing})
    assert price["type_right_of_found"]["interval"] is None
    assert price["dice_pooled"]["interval"] is not None
    figures = report.with_intervals(nothing)
    assert {"value": 0.0} == figures["type_right_of_found"]


def test_worse_answers_are_told_with_the_interval_of_the_difference(folders):
    found = full_outcomes(folders)
    lost = found.take(np.arange(len(found)))
    lost.false_positive[:] = found.false_positive + found.true_positive  # as many wrong pixels again as right ones
    price = paired({"fp32": found, "int8": lost})
    first, second, (low, high) = price["dice_pooled"].values()
    assert low < second - first < high < 0
    rows = {row[0]: row[1:] for row in difference_rows(price)}
    difference = f"**-{first - second:.4f}** (-{-low:.4f} to -{-high:.4f})"
    assert [f"{first:.4f}", f"{second:.4f}", difference] == rows["Dice, pooled over the defective images"]


def test_the_folds_that_two_recipes_have_in_common_are_compared(folders, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    first, second = tmp_path / "first", tmp_path / "second"
    shutil.copytree(folders[0], first / "honest-3")
    for folder in folders:
        shutil.copytree(folder, second / folder.name)
    expected = measure(full_outcomes([folders[0]]))
    monkeypatch.setattr("sys.argv", ["paired", str(first), str(second)])
    main()
    rows = {row[0]: row[1:] for row in cells(capsys.readouterr().out)}
    count, auroc = str(expected["found_images"]), f"{expected['auroc']:.4f}"
    assert [count, count, "**+0** (+0 to +0)"] == rows["defective images found"]
    assert [auroc, auroc, "**+0.0000** (+0.0000 to +0.0000)"] == rows["defective or not, AUROC"]


def test_two_recipes_need_no_other_files_than_the_command_names(folders, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr("sys.argv", ["paired", "--help"])
    with pytest.raises(SystemExit):
        main()
    named = re.findall(r"[\w.]+\.(?:json|csv)", capsys.readouterr().out)
    for recipe in ("first", "second"):
        for path in folders[0].iterdir():
            if path.name in named:
                (tmp_path / recipe / "honest-3").mkdir(parents=True, exist_ok=True)
                shutil.copy(path, tmp_path / recipe / "honest-3")
    assert compare(tmp_path / "first", tmp_path / "second")


def test_recipes_without_a_common_fold_or_of_other_splits_are_not_compared(folders, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    first, second = tmp_path / "first", tmp_path / "second"
    shutil.copytree(folders[0], first / "honest-3")
    shutil.copytree(folders[1], second / "honest-4")
    with pytest.raises(StudyError, match="no fold in common"):
        compare(first, second)
    shutil.copytree(folders[1], second / "honest-3")
    with pytest.raises(StudyError, match="other test images or masks"):
        compare(first, second)


def test_recipes_that_were_measured_on_other_masks_are_not_compared(folders, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        shutil.copytree(folders[0], folder / "honest-3")
    results = read_results(second / "honest-3/test.csv")
    next(result for result in results if result.defective).counts.defect[0] += 1
    write_results(results, second / "honest-3/test.csv")
    with pytest.raises(StudyError, match="other test images or masks"):
        compare(first, second)


def test_nothing_is_told_unless_every_fold_has_the_tables(folders):
    (folders[1] / TEST).unlink()
    assert int8_outcomes(folders, RATE) is None


def test_a_folds_quantized_graph_answers_each_image(tmp_path, monkeypatch):
    """test_fold_graph.py exports and quantizes a network as a fold's."""
    given = []

    def quantized_graph(*arguments):
        given.extend(arguments)
        path = arguments[-1] / "int8.onnx"
        onnx.save(tiny_graph(), path)
        return path

    monkeypatch.setattr("studies.int8.quantized_graph", quantized_graph)
    samples = [real_sample(sample_names(name)[0]) for name in ("Blowhole", "Uneven", "Free")]
    parts = {"train": samples[1:], "validation": samples[:2], "test": samples}
    write_int8("network", "novelty", parts, "params", tmp_path)
    *asked, scratch = given
    assert ["network", "novelty", parts["train"], "params"] == asked
    assert not scratch.exists()
    for table, expected in ((VALIDATION, samples[:2]), (TEST, samples)):
        assert [sample.entry.name for sample in expected] == [result.name for result in read_results(tmp_path / table)]
    assert {VALIDATION, TEST} == {path.name for path in tmp_path.iterdir()}
