"""Cross-validation and its report on the sample tiles, each image a tile of its own, with a network of one epoch."""

import csv
import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from subprocess import PIPE

import numpy as np
import pytest
from conftest import ROOT
from training_data import (
    CIRCUMSTANCES,
    SAMPLE_TILES,
    SMALL_NETWORK,
    params_with,
    sample_members,
    without_model_hub,
    write_knobs,
    write_zip,
)

from studies import crossval, differences, report
from studies.baseline import run as baseline
from studies.baseline.recipe import Recipe
from studies.crossval import perform
from studies.own_recipe import shipped_model
from studies.runs import honest_folders, params_of, point_of, run_names
from tests.pages import table_after
from tiles import DEFECT_TYPES
from training.dataset import doubtful
from training.dataset.doubtful import doubtful_images
from training.dataset.published import write_dataset
from training.errors import ArchiveError, DatasetError, EvaluationError, MixedRunsError, StudyError
from training.evaluation import other_images
from training.evaluation.counts import Counts
from training.evaluation.figures import join, measure, outcomes_at
from training.evaluation.image_results import read_results, write_results
from training.evaluation.perturbations import PERTURBATIONS
from training.network.segmenter import build_network
from training.network.weights import save_model
from training.params import load_params

KNOBS = {
    **SMALL_NETWORK,
    "data_load__digest": "",
    "data_split__folds": 3,
    "data_split__test_fold": 1,
    "data_split__validation_fold": 0,
    "data_split__validation_tiles": None,
    "train__encoder_weights": None,
    "train__epochs": 1,
    "train__crops_per_epoch": 4,
    "train__batch_size": 2,
    "train__crop_size": 64,
    "quantize__serve": "fp32",  # int8 would take a minute for each fold
}
PACKAGES = {"torch": "2.0"}
COLUMNS = "change,level,dice_pooled,dice_type_mean,found_share,false_alarm_share"


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A folder in which every run was performed."""
    folder = tmp_path_factory.mktemp("project")
    members = sample_members()
    tile_ids = {path.stem: path.stem for path in SAMPLE_TILES.rglob("*.jpg")}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        without_model_hub(patch, folder)
        patch.setattr(other_images, "EACH", 2)
        patch.setattr(baseline, "RECIPE", replace(Recipe(), epochs=1))
        patch.setenv("MTD_ARCHIVE", str(write_zip(folder / "tiles.zip", members)))
        write_knobs(folder / "params.yaml", **KNOBS)
        shutil.copyfile(ROOT / "dvc.yaml", folder / "dvc.yaml")
        write_dataset(members, tile_ids, params_with(**KNOBS).data_load, folder / "data/tiles")
        for name in run_names(load_params()):
            perform(name, load_params(), PACKAGES)
    (folder / "evaluation/plots/robustness").mkdir(parents=True)
    for name, perturbation in PERTURBATIONS.items():
        row = f"{name},{perturbation.neutral},0.75,0.5,0.9,0.1\n"
        (folder / f"evaluation/plots/robustness/{name}.csv").write_text(f"{COLUMNS}\n{row}{row}")
    return folder


@pytest.fixture(autouse=True)
def in_the_project(project, tmp_path, monkeypatch):
    monkeypatch.chdir(project)
    monkeypatch.setattr(report, "BOOTSTRAP_SAMPLES", 5)
    monkeypatch.setattr(differences, "SAMPLES", 5)
    monkeypatch.setattr(doubtful, "DOUBTFUL_FILE", tmp_path / "doubtful.csv")
    doubtful.DOUBTFUL_FILE.write_text("image,reason\nexp1_num_262480,for the test\n")


def images(path):
    with path.open(newline="") as file:
        return [row["image"] for row in csv.DictReader(file)]


def test_every_image_is_tested_in_one_honest_fold_and_validates_in_another(project):
    everything = sorted(path.stem for path in SAMPLE_TILES.rglob("*.jpg"))
    for part in ("test", "validation"):
        folds = [images(project / f"studies/tables/honest-{fold}/{part}.csv") for fold in range(3)]
        assert everything == sorted(image for fold in folds for image in fold)


def test_the_distance_of_test_and_validation_fold_is_that_of_the_parameters():
    params = load_params()
    folds = {name: params_of(name, params).data_split for name in run_names(params)}
    assert [("honest-0", 0, 2), ("honest-1", 1, 0), ("honest-2", 2, 1)] == [
        (name, split.test_fold, split.validation_fold) for name, split in folds.items() if "honest" in name
    ]
    assert "random" == folds["random"].method
    assert round(1.5 * params.train.epochs) == params_of("random", params).train.epochs
    assert params.train == params_of("honest-1", params).train
    assert folds["honest-1"] == folds["baseline-1"]


def test_a_confirmation_differs_from_its_honest_run_in_the_seed_alone():
    params = load_params()
    honest, again = params_of("honest-2", params), params_of("confirm-2", params)
    assert honest.base.seed + 1 == again.base.seed
    assert honest == again.model_copy(update={"base": honest.base})
    assert not [name for name in run_names(params) if "confirm" in name]


def test_a_run_keeps_all_that_it_comes_from(project):
    found = json.loads((project / "studies/tables/honest-2/run.json").read_text())
    assert {"train", "seed", "split", *CIRCUMSTANCES} <= found.keys()


def test_each_run_of_our_recipe_keeps_what_the_novelty_catches(project):
    figures = {name: json.loads((project / f"studies/tables/honest-{name}/novelty.json").read_text()) for name in "012"}
    report.main()
    told = json.loads((project / "studies/tables/metrics.json").read_text())["honest"]["novelty"]
    assert figures == {name.removeprefix("honest-"): found for name, found in told["folds"].items()}
    assert len(list(SAMPLE_TILES.rglob("*.jpg"))) == told["all"]["test"]["images"]
    assert 6 == told["all"]["others"]["noise"]["images"]


def test_a_done_run_is_not_done_again(project, monkeypatch, capsys):
    monkeypatch.setattr(crossval, "check_packages", lambda: PACKAGES)
    monkeypatch.setattr("sys.argv", ["crossval"])
    before = {path: path.stat().st_mtime_ns for path in project.glob("studies/tables/*/*")}
    crossval.main()
    assert before == {path: path.stat().st_mtime_ns for path in project.glob("studies/tables/*/*")}
    assert 5 == capsys.readouterr().out.count("done before")


def test_a_run_that_another_process_does_is_refused_and_others_are_not(monkeypatch, capsys):
    monkeypatch.setattr(crossval, "check_packages", lambda: PACKAGES)
    holds = "import fcntl, sys; f = open(sys.argv[1], 'w'); fcntl.flock(f, fcntl.LOCK_EX); print(flush=True); input()"
    crossval.LOCK_FOLDER.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-c", holds, crossval.LOCK_FOLDER / "honest-1.lock"]
    with subprocess.Popen(command, stdin=PIPE, stdout=PIPE) as other:
        other.stdout.readline()
        monkeypatch.setattr("sys.argv", ["crossval", "honest-0", "honest-1"])
        with pytest.raises(StudyError, match="honest-1 is running in another process"):
            crossval.main()
        other.communicate(b"\n")
    assert "honest-0: done before" in capsys.readouterr().out
    crossval.main()
    assert "honest-1: done before" in capsys.readouterr().out


def test_a_wrong_name_is_refused_before_any_run_is_done(monkeypatch, capsys):
    monkeypatch.setattr(crossval, "check_packages", lambda: PACKAGES)
    monkeypatch.setattr("sys.argv", ["crossval", "honest-0", "honest/1"])
    with pytest.raises(StudyError, match="no run honest/1"):
        crossval.main()
    assert "" == capsys.readouterr().out


def test_an_unknown_run_is_refused_by_the_names_that_there_are():
    names = "honest-0, honest-1, honest-2, random, baseline-1"
    with pytest.raises(StudyError, match=f"no run honest-3: choose one of {names}"):
        params_of("honest-3", load_params())
    assert 2 == params_of("baseline-2", load_params()).data_split.test_fold


def pixels(results):
    return {int((result.counts.defect + result.counts.sound).sum()) for result in results}


@pytest.mark.parametrize("run", ["honest-0", "honest-1", "honest-2", "random", "baseline-1"])
def test_every_run_counts_the_centre_crops_of_its_defective_test_images(project, run):
    defective = {path.stem for name in DEFECT_TYPES for path in (SAMPLE_TILES / f"MT_{name}").rglob("*.jpg")}
    results = read_results(project / f"studies/tables/{run}/test_centre_crop.csv")
    assert defective & set(images(project / f"studies/tables/{run}/test.csv")) == {result.name for result in results}
    assert {224**2} == pixels(results)


def test_an_honest_run_is_scored_on_consensus_masks_as_well_and_the_random_one_is_not(project):
    """Every sample tile has one photograph: the consensus is its own mask."""
    tables = [project / f"studies/tables/honest-{fold}" for fold in range(3)]
    assert [(t / "test.csv").read_text() for t in tables] == [(t / "test_consensus.csv").read_text() for t in tables]
    assert not (project / "studies/tables/random/test_consensus.csv").exists()


def test_the_report_has_the_figures_on_consensus_masks_once_every_fold_has_them(project, tmp_path, monkeypatch):
    copy_runs(project, tmp_path, "honest-0", "honest-1")
    monkeypatch.chdir(tmp_path)
    report.main()
    found = json.loads((tmp_path / "studies/tables/metrics.json").read_text())["honest"]
    assert found["all"] == found["consensus"]
    assert "### Against consensus masks" in report.REPORT_FILE.read_text()
    (tmp_path / "studies/tables/honest-1/test_consensus.csv").unlink()
    report.main()
    assert json.loads((tmp_path / "studies/tables/metrics.json").read_text())["honest"]["consensus"] is None
    assert "consensus" not in report.REPORT_FILE.read_text()


def test_the_random_run_counts_all_its_test_images_stretched_to_one_size(project):
    results = read_results(project / "studies/tables/random/test_stretched.csv")
    assert set(images(project / "studies/tables/random/test.csv")) == {result.name for result in results}
    assert {256**2} == pixels(results)


def test_the_baseline_is_counted_on_the_test_images_and_the_masks_of_the_honest_run(project):
    for table in ("test", "test_centre_crop"):
        ours, theirs = (
            read_results(project / f"studies/tables/{run}/{table}.csv") for run in ("honest-1", "baseline-1")
        )
        assert [(r.name, r.counts.defect.sum()) for r in ours] == [(r.name, r.counts.defect.sum()) for r in theirs]


def test_the_baseline_says_what_it_was_trained_on_and_that_its_encoder_began_at_random(project):
    found = json.loads((project / "studies/tables/baseline-1/run.json").read_text())
    assert {"recipe", "seed", "split", *CIRCUMSTANCES} <= found.keys()
    trained = images(project / "studies/tables/honest-0/test.csv") + images(
        project / "studies/tables/honest-2/test.csv"
    )
    validation = set(images(project / "studies/tables/honest-1/validation.csv"))
    free = {path.stem for path in (SAMPLE_TILES / "MT_Free").rglob("*.jpg")}
    assert len(set(trained) - validation - free) == found["train_images"]
    assert found["encoder_weights"] is None
    assert "not available from the model hub" in found["weights_missing"]


def test_the_report_wants_the_list_of_doubtful_images():
    doubtful.DOUBTFUL_FILE.unlink()
    with pytest.raises(DatasetError, match=r"doubtful\.csv is missing"):
        report.main()


def test_the_report_wants_the_robustness_and_draws_a_curve_of_each_perturbation(project):
    path = project / "evaluation/plots/robustness/blur.csv"
    path.rename(path.with_suffix(".away"))
    with pytest.raises(EvaluationError, match=r"blur\.csv is missing: run `dvc repro robustness`"):
        report.main()
    path.with_suffix(".away").rename(path)
    report.main()
    text = report.REPORT_FILE.read_text()
    assert len(PERTURBATIONS) == text.count("xychart-beta") == text.count("line [0.750, 0.750]")
    assert text.count('x-axis ["unchanged", "unchanged"]') == len(PERTURBATIONS)


def test_the_report_holds_the_figures_of_the_tables_and_every_fold(project):
    report.main()
    metrics = json.loads((project / "studies/tables/metrics.json").read_text())
    point = point_of(project / "studies/tables/honest-0")
    expected = measure(outcomes_at(read_results(project / "studies/tables/honest-0/test.csv"), point))
    assert expected == metrics["honest"]["folds"]["honest-0"]
    assert len(list(SAMPLE_TILES.rglob("*.jpg"))) == metrics["honest"]["all"]["images"]["value"]
    assert len(list(SAMPLE_TILES.rglob("*.jpg"))) - 1 == metrics["honest"]["without_doubtful"]["images"]["value"]
    low, high = metrics["honest"]["all"]["dice_pooled"]["interval"]
    assert 0 <= low <= high <= 1
    text = (project / "studies/report.md").read_text()
    for words in ("honest-0", "honest-1", "honest-2", "Leaky", f"{metrics['leaky']['stretched']['dice']:.3f}"):
        assert words in text
    cropped = images(project / "studies/tables/random/test_centre_crop.csv")
    assert len(cropped) == metrics["leaky"]["centre_crop"]["images"]
    doubted = set(cropped) & set(doubtful_images())
    assert len(cropped) - len(doubted) == metrics["leaky"]["without_doubtful"]["centre_crop"]["images"]
    theirs, ours = (metrics["baseline"]["baseline-1"][name] for name in ("theirs", "ours"))
    assert metrics["honest"]["folds"]["honest-1"] == ours["native"]
    for found in (theirs, ours):
        assert f"Dice {found['centre_crop']['dice']:.3f}, IoU {found['centre_crop']['iou']:.3f}" in text
    assert "The encoder began with random weights" in text


def copy_runs(project, folder, *names):
    """A folder with some of the project's runs, and the shipped model's robustness."""
    shutil.copy(project / "params.yaml", folder)
    shutil.copytree(project / "evaluation", folder / "evaluation")
    for name in names:
        shutil.copytree(project / "studies/tables" / name, folder / "studies/tables" / name)


def test_a_report_of_some_folds_says_which_and_what_was_not_run(project, tmp_path, monkeypatch):
    copy_runs(project, tmp_path, "honest-0", "honest-2")
    path = tmp_path / "studies/tables/honest-2/run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"commit": "0123456789abcdef", "dirty": True}))
    monkeypatch.chdir(tmp_path)
    report.main()
    counted = sum(len(images(project / f"studies/tables/honest-{fold}/test.csv")) for fold in (0, 2))
    text = (tmp_path / "studies/report.md").read_text()
    assert f"2 of 3 folds so far, {counted} images" in text
    assert "average precision rank the scores of all 2 networks in one list" in text
    tables = 2  # of images and of tiles
    assert ["honest-0", "honest-2"] * tables == re.findall(r"^\| (honest-\d)", text, re.MULTILINE)
    assert re.search(r"^\| honest-2 .*\| 0123456789ab, changed \|$", text, re.MULTILINE)
    for name in ("honest-1", "random", "baseline-1"):
        assert f"`python -m studies.crossval {name}`" in text


def test_a_report_compares_the_confirmation_with_the_honest_folds_on_the_same_images(project, tmp_path, monkeypatch):
    copy_runs(project, tmp_path, "honest-0", "honest-1", "honest-2")
    monkeypatch.chdir(tmp_path)
    report.main()
    assert "On another split" not in report.REPORT_FILE.read_text()
    for fold, other in ((1, 2), (2, 1)):  # so that the images come in another order
        shutil.copytree(project / f"studies/tables/honest-{fold}", f"studies/tables/confirm-{other}")
    report.main()
    text = report.REPORT_FILE.read_text()
    found = json.loads(report.METRICS_FILE.read_text())["confirmation"]
    folders = [project / f"studies/tables/honest-{fold}" for fold in (1, 2)]
    expected = measure(join([outcomes_at(read_results(each / "test.csv"), point_of(each)) for each in folders]))
    assert "confirm-1 and confirm-2 were trained anew by the same rules, once." in text
    assert f"{expected['images']} images that were tested in both splits" in text
    assert {"honest": expected["dice_pooled"], "other": expected["dice_pooled"], "interval": [0, 0]} == found[
        "figures"
    ]["dice_pooled"]
    assert {0} == {bound for figure in found["figures"].values() for bound in figure["interval"] or ()}
    tiles = [{name: each["value"] for name, each in found["tiles"][split].items()} for split in ("honest", "other")]
    assert tiles[0] == tiles[1]
    section = text.split("On another split")[1]
    (row,) = re.findall(r"^\| tiles with a defect +\| (\d+) +\| (\d+) +\|$", section, re.MULTILINE)
    assert row[0] == row[1] == str(found["tiles"]["honest"]["defective_tiles"]["value"])


def perfect(result):
    """The same image, with the right pixels and a score that is sure."""
    defect, sound = (np.zeros_like(plane) for plane in (result.counts.defect, result.counts.sound))
    defect[-1], sound[0] = result.counts.defect.sum(), result.counts.sound.sum()
    types = np.full_like(result.types, 1 + DEFECT_TYPES.index(result.defect_type) if result.defective else 0)
    return replace(result, counts=Counts(defect, sound), types=types, score=float(result.defective))


def test_a_better_confirmation_differs_upwards(project, tmp_path, monkeypatch):
    copy_runs(project, tmp_path, "honest-1")
    monkeypatch.chdir(tmp_path)
    shutil.copytree("studies/tables/honest-1", "studies/tables/confirm-1")
    for table in ("validation.csv", "test.csv"):
        path = tmp_path / "studies/tables/confirm-1" / table
        write_results([perfect(result) for result in read_results(path)], path)
    report.main()
    found = json.loads(report.METRICS_FILE.read_text())["confirmation"]["figures"]["dice_pooled"]
    assert found["honest"] < 1 == found["other"]
    words, first, second, difference = table_after(report.REPORT_FILE.read_text(), "### On another split")[0]
    assert ("Dice, pooled over the defective images", f"{found['honest']:.4f}", "1.0000") == (words, first, second)
    assert difference.startswith(f"**+{1 - found['honest']:.4f}**")


@pytest.mark.parametrize(
    ("run", "change"),
    [
        ("confirm-1", {"train": {"noise": 7}}),
        ("confirm-1", {"split": {"folds": 4}}),
        ("confirm-1", {"data_digest": "of others"}),
        ("random", {"train": {"noise": 7}}),
        ("random", {"data_digest": "of others"}),
        ("baseline-1", {"split": {"folds": 4}}),
        ("baseline-1", {"seed": 7}),
    ],
)
def test_a_run_of_another_recipe_split_or_data_than_the_honest_folds_makes_no_report(
    project, tmp_path, monkeypatch, run, change
):
    copy_runs(project, tmp_path, "honest-0", "honest-1")
    shutil.copytree(project / "studies/tables" / run.replace("confirm", "honest"), tmp_path / "studies/tables" / run)
    path = tmp_path / "studies/tables" / run / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    monkeypatch.chdir(tmp_path)
    told = f"^studies/tables/{run} and the honest folds differ in {next(iter(change))}.* of run.json: delete these"
    with pytest.raises(StudyError, match=told):
        report.main()


def test_a_confirmation_of_images_that_no_honest_fold_tested_is_not_shown(project, tmp_path, monkeypatch):
    copy_runs(project, tmp_path, "honest-0")
    monkeypatch.chdir(tmp_path)
    shutil.copytree(project / "studies/tables/honest-1", "studies/tables/confirm-1")
    report.main()
    assert "On another split" not in report.REPORT_FILE.read_text()


def test_a_baseline_without_our_own_run_beside_it_says_what_is_missing(project, tmp_path, monkeypatch):
    copy_runs(project, tmp_path, "honest-0", "baseline-1")
    monkeypatch.chdir(tmp_path)
    report.main()
    assert "Ours is missing: it needs honest-1" in (tmp_path / "studies/report.md").read_text()


@pytest.mark.parametrize(
    ("encoder", "said"),
    [
        ("tu-tf_efficientnet_lite0", "the ImageNet weights of `resnet34` could not"),
        ("resnet34", "began with ImageNet weights, as theirs"),
    ],
)
def test_the_report_says_which_pretrained_encoder_the_baseline_began_with(
    project, tmp_path, monkeypatch, encoder, said
):
    copy_runs(project, tmp_path, "honest-0", "baseline-1")
    path = tmp_path / "studies/tables/baseline-1/run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"encoder": encoder, "encoder_weights": "imagenet"}))
    monkeypatch.chdir(tmp_path)
    report.main()
    text = report.REPORT_FILE.read_text()
    assert said in text
    assert "random weights" not in text


def test_no_honest_fold_makes_no_report(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StudyError, match=r"no honest fold has tables: run `python -m studies\.crossval`"):
        honest_folders()


@pytest.mark.parametrize("change", [{"seed": 21}, {"data_digest": "of others"}, {"split": {"folds": 4}}])
def test_folds_of_different_parameters_or_data_make_no_report(project, tmp_path, monkeypatch, change):
    copy_runs(project, tmp_path, "honest-0", "honest-1")
    path = tmp_path / "studies/tables/honest-1/run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StudyError, match="different parameters or data"):
        honest_folders()


def test_a_parameter_that_one_fold_does_not_know_makes_no_difference_where_it_is_off(project, tmp_path, monkeypatch):
    copy_runs(project, tmp_path, "honest-0", "honest-1")
    path = tmp_path / "studies/tables/honest-1/run.json"
    run = json.loads(path.read_text())
    monkeypatch.chdir(tmp_path)
    run["train"] |= {"mirror_weight": 0.0, "context": False}  # removed since, as in some of the published tables
    path.write_text(json.dumps(run))
    assert 2 == len(honest_folders())
    run["train"]["mirror_weight"] = 1.0
    path.write_text(json.dumps(run))
    with pytest.raises(StudyError, match="different parameters or data"):
        honest_folders()


def test_classes_that_were_counted_at_another_operating_point_make_no_report(project, tmp_path, monkeypatch):
    copy_runs(project, tmp_path, "random")
    path = tmp_path / "studies/tables/random/test_classes.csv"
    header, background, *rest = path.read_text().splitlines()
    actual, found, *others = background.split(",")
    path.write_text(
        "\n".join([header, ",".join([actual, str(int(found) - 1), str(int(others[0]) + 1), *others[1:]]), *rest])
    )
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StudyError, match=r"random/test_classes\.csv was counted at another operating point"):
        report.leaky()


def test_the_pipelines_own_model_is_taken_for_a_run_of_the_very_key_alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert shipped_model("abc") is None
    save_model(
        build_network(params_with(**KNOBS).train), {"train": params_with(**KNOBS).train.model_dump(), "run": "abc"}
    )
    assert shipped_model("other") is None
    assert "abc" == shipped_model("abc")[1]["run"]


def test_a_run_that_could_not_count_its_masks_is_refused_before_it_trains(monkeypatch):
    monkeypatch.setenv("MTD_ARCHIVE", "nowhere.zip")
    with pytest.raises(ArchiveError, match=r"nowhere\.zip: there is no such file"):
        perform("honest-0", load_params(), PACKAGES)


def test_data_of_other_parameters_are_refused_before_any_run_is_done(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(crossval, "check_packages", dict)
    shutil.copyfile(ROOT / "dvc.lock", tmp_path / "dvc.lock")
    write_knobs(tmp_path / "params.yaml", data_load__mask_above=0)
    with pytest.raises(MixedRunsError, match=r"data_load ran with other parameters .*: run `dvc repro data_load`"):
        crossval.main()


def test_another_split_is_trained(tmp_path, monkeypatch):
    """Its parts are drawn here; data/split.csv may be of another one."""
    done = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(crossval, "check_packages", dict)
    monkeypatch.setattr(crossval, "perform", lambda name, *_: done.append(name))
    monkeypatch.setattr(sys, "argv", ["crossval", "honest-0"])
    shutil.copyfile(ROOT / "dvc.lock", tmp_path / "dvc.lock")
    write_knobs(tmp_path / "params.yaml", base__seed=21)
    crossval.main()
    assert ["honest-0"] == done


def test_own_images_are_told_how_to_measure_each_fold_without_publishing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(crossval, "check_packages", dict)
    write_knobs(tmp_path / "params.yaml", data_load__table="castings.csv")
    for main in (crossval.main, report.main):
        with pytest.raises(
            StudyError, match=r"`dvc exp run evaluate -S data_split\.test_fold=0 .*: it measures, and publ"
        ):
            main()
