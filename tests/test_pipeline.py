"""The whole pipeline under DVC, from a small archive of the sample tiles to a model repository that Triton serves."""

import csv
import json
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.clones import clone, commit, make, moved_environment, run
from tests.conftest import ROOT, StartTriton, answers
from tests.s3_server import s3_server

STAGES = (
    "check_params",
    "check_packages",
    "data_load",
    "data_split",
    "train",
    "evaluate",
    "robustness",
    "novelty",
    "export",
    "quantize",
    "model_card",
)
UP_TO_DATE = "Data and pipelines are up to date."

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


def small_archive(path: Path) -> Path:
    """Zip the sample tiles as the public archive is laid out."""
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted((ROOT / "samples/tiles").rglob("*.*")):
            archive.write(file, Path("Magnetic-tile-defect-datasets.-master", file.relative_to(ROOT / "samples/tiles")))
    return path


def make_small(folder: Path) -> None:
    """Shrink the parameters; each image counts as a tile of its own, as the samples hold too few for three folds."""
    yaml, path = YAML(), folder / "params.yaml"
    params = yaml.load(path)
    params["data_load"]["digest"] = ""
    params["data_split"] |= {"folds": 3, "test_fold": 1, "validation_fold": 2}
    params["train"] |= {"epochs": 2, "crops_per_epoch": 8, "batch_size": 4, "crop_size": 64, "validate_every": 1}
    params["evaluate"]["gallery_images"] = 2
    params["quantize"] |= {"min_dice_pooled": 0.0, "min_auroc": 0.0}
    params["evaluate"]["robustness"] = {name: levels[:1] for name, levels in params["evaluate"]["robustness"].items()}
    yaml.dump(params, path)
    images = sorted(file.stem for file in (ROOT / "samples/tiles").rglob("*.jpg"))
    with (folder / "training/dataset/tile_ids.csv").open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([["image", "tile"], *([image, image] for image in images)])


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A moved clone in which `make repro` has run on the small archive, and everything is committed."""
    folder = tmp_path_factory.mktemp("pipeline")
    repository = clone(ROOT, folder / "a moved clöne")
    for name in (".venv", ".venv-serving"):
        moved_environment(repository, name)
    make_small(repository)
    commit(repository, "small")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MTD_ARCHIVE", str(small_archive(folder / "small.zip")))
        make(repository, "repro", LC_ALL="C", PYTHONSAFEPATH="1")
        commit(repository, "reproduced")
        yield repository


def test_repro_writes_every_stages_outputs(pipeline: Path) -> None:
    lock = YAML(typ="safe").load(pipeline / "dvc.lock")

    assert set(STAGES) == set(lock["stages"])
    for stage in lock["stages"].values():
        for out in stage["outs"]:
            assert (pipeline / out["path"]).exists()


def test_a_second_repro_does_nothing(pipeline: Path) -> None:
    assert UP_TO_DATE in run(pipeline, "dvc", "repro")


def test_a_clone_without_the_data_has_nothing_to_do(pipeline: Path, tmp_path: Path) -> None:
    assert UP_TO_DATE in run(clone(pipeline, tmp_path / "clone"), "dvc", "repro", "--dry", "--allow-missing")


def test_the_shipped_lock_has_nothing_to_do_in_a_fresh_clone(tmp_path: Path) -> None:
    assert UP_TO_DATE in run(clone(ROOT, tmp_path / "clone"), "dvc", "repro", "--dry", "--allow-missing")


def test_an_unknown_parameter_stops_a_stage_and_is_named(pipeline: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(pipeline, tmp_path / "copy", symlinks=True)
    with (copy / "params.yaml").open("a") as file:
        file.write("\nquality: high\n")

    done = subprocess.run(
        [sys.executable, "-m", "training.stages.data_split"], cwd=copy, capture_output=True, text=True, check=False
    )

    assert done.returncode == 1
    assert "quality: Extra inputs are not permitted" in done.stderr
    assert "Traceback" not in done.stderr


def test_metrics_and_plots_are_there_to_show(pipeline: Path) -> None:
    metrics = json.loads(run(pipeline, "dvc", "metrics", "show", "--json"))
    figures = metrics[""]["data"]
    page = run(pipeline, "dvc", "plots", "show")

    assert 0 <= figures["evaluation/metrics.json"]["data"]["test"]["dice_pooled"] <= 1
    assert "train" in figures["dvclive/metrics.json"]["data"]
    assert "index.html" in page
    html = (pipeline / "dvc_plots/index.html").read_text()
    for name in ("precision_recall", "confusion", "worst.png", "train/loss", "jpeg_quality.csv"):
        assert name.split("/")[-1] in html


def test_make_try_trains_and_evaluates_and_then_compares_with_head(pipeline: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(pipeline, tmp_path / "copy", symlinks=True)
    run(copy, "git", "reset", "--quiet", "--hard")

    said = make(copy, "try", "SET=train.epochs=1 train.learning_rate=0.001", "NAME=slower")
    followed, _ = json.JSONDecoder().raw_decode(run(copy, "dvc", "status", "--json"))

    assert ["check_params", "train", "evaluate"] == re.findall(r"Running stage '(\w+)'", said)
    assert "Ran experiment(s): slower" in said
    assert re.search(r"^workspace .* to .*\)", said, re.MULTILINE), said
    assert json.loads((copy / "models/segmenter.json").read_text())["train"]["epochs"] == 1
    assert {"robustness", "novelty", "export", "quantize", "model_card"} == followed.keys()


def test_other_levels_of_the_robustness_rerun_it_and_not_the_evaluation(pipeline: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(pipeline, tmp_path / "copy", symlinks=True)
    yaml, path = YAML(), copy / "params.yaml"
    params = yaml.load(path)
    params["evaluate"]["robustness"]["blur"] = [4.0]
    yaml.dump(params, path)

    said = run(copy, "dvc", "repro", "--dry")

    assert re.findall(r"Running stage '(\w+)'", said) == ["check_params", "robustness"]


def test_a_clone_quantizes_anew_from_the_weights_in_git(pipeline: Path, tmp_path: Path) -> None:
    copy = clone(pipeline, tmp_path / "clone")
    yaml, path = YAML(), copy / "params.yaml"
    params = yaml.load(path)
    params["quantize"]["title"] = "Other tiles"
    yaml.dump(params, path)
    assert not (copy / "export/fp32.onnx").exists()

    said = run(copy, "dvc", "repro", "quantize")

    assert "Running stage 'quantize'" in said
    assert "Running stage 'export'" not in said
    run(copy / "export", "sha256sum", "--check", "fp32.sha256")
    assert "Other tiles" in (copy / "model_repository/segmenter/config.pbtxt").read_text()


def test_triton_serves_what_the_pipeline_exported(pipeline: Path, start_triton: StartTriton) -> None:
    triton = start_triton(pipeline / "model_repository")

    assert answers(f"http://{triton.url}/v2/models/segmenter/ready")


def test_a_clone_pulls_from_an_s3_bucket_what_another_pushed(pipeline: Path, tmp_path: Path) -> None:
    with s3_server(tmp_path / "s3") as server:
        run(pipeline, "dvc", "remote", "modify", "storage", "url", f"s3://{server.bucket}/dvc")
        run(pipeline, "dvc", "remote", "modify", "storage", "endpointurl", server.endpoint)
        commit(pipeline, "my bucket")
        run(pipeline, "dvc", "push", **server.credentials)
        other = clone(pipeline, tmp_path / "other")
        run(other, "dvc", "pull", **server.credentials)

        assert UP_TO_DATE in run(other, "dvc", "repro")
        assert (pipeline / "data/split.csv").read_bytes() == (other / "data/split.csv").read_bytes()
