"""The whole pipeline under DVC, from a user's own images to a service that answers with their types.

No code is touched. From the published archive, test_interruptions.py runs up to the weights, and with `faults` up to
the model repository.
"""

import json
import re
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from own_data import TYPES, use_castings, write_castings
from PIL import Image
from ruamel.yaml import YAML

from host.ports import free_port
from tests.clones import change_params, clone, commit, make, moved_clone, run
from tests.conftest import ROOT, Service, answers, wait_until
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


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A moved clone in which `make repro` has run on castings up to the export, and everything is committed."""
    folder = tmp_path_factory.mktemp("pipeline")
    repository = moved_clone(ROOT, folder / "a moved clöne")
    use_castings(repository, write_castings(folder / "castings"))
    commit(repository, "castings")
    make(repository, "repro", "ARGS=export", LC_ALL="C", PYTHONSAFEPATH="1")
    commit(repository, "exported")
    return repository


@pytest.fixture(scope="module")
def reproduced(exported: Path) -> tuple[Path, str]:
    """A moved clone of that one in which `make repro` has run, what it said, and everything is committed."""
    repository = moved_clone(exported, exported.with_name("another moved clöne"))
    assert not (repository / "export/fp32.onnx").exists()
    said = make(repository, "repro", LC_ALL="C", PYTHONSAFEPATH="1")
    commit(repository, "reproduced")
    return repository, said


@pytest.fixture(scope="module")
def pipeline(reproduced: tuple[Path, str]) -> Path:
    """A clone in which every stage has run on the castings."""
    return reproduced[0]


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
    change_params(copy, evaluate__robustness__blur=[4.0])

    said = run(copy, "dvc", "repro", "--dry")

    assert re.findall(r"Running stage '(\w+)'", said) == ["check_params", "robustness"]


def test_a_clone_quantizes_anew_from_the_weights_in_git(reproduced: tuple[Path, str]) -> None:
    repository, said = reproduced
    of_the_images, of_the_weights = {"data_load", "data_split"}, {"robustness", "quantize", "model_card"}

    assert of_the_images | of_the_weights == set(re.findall(r"Running stage '(\w+)'", said))
    run(repository / "export", "sha256sum", "--check", "fp32.sha256")


def test_the_figures_are_of_the_users_types(pipeline: Path) -> None:
    figures = json.loads((pipeline / "evaluation/metrics.json").read_text())["test"]
    config = (pipeline / "model_repository/segmenter/config.pbtxt").read_text()
    card = (pipeline / "docs/model_card.md").read_text()

    assert {*TYPES} == figures["dice_by_type"].keys()
    assert 'key: "model.types" value: { string_value: "Dent,Rust spot" }' in config
    assert "Dice of Rust spot, pooled" in card
    assert "castings.csv" in card
    assert card.startswith("# Model card: Castings\n")
    assert 'key: "model.title" value: { string_value: "Castings" }' in config
    assert not re.search("Blowhole|Uneven|Huang|doubt|five|six|[Mm]agnetic", card)
    digest = (pipeline / "data/tiles/digest").read_text().strip()
    assert digest == json.loads((pipeline / "models/segmenter.json").read_text())["data_digest"]


def test_the_service_answers_with_the_users_types(pipeline: Path, start_service: Callable[..., Service]) -> None:
    ports = {name: str(free_port()) for name in ("PORT", "TRITON_HTTP_PORT", "TRITON_METRICS_PORT")}
    service = start_service("launch", MODEL_REPOSITORY=str(pipeline / "model_repository"), **ports)
    here = f"http://127.0.0.1:{ports['PORT']}"
    wait_until(lambda: answers(f"{here}/health/ready"), service)
    image = pipeline.parent / "castings/Rust spot/0-1.png"

    request = urllib.request.Request(f"{here}/analyze", image.read_bytes(), {"Content-Type": "image/png"})
    with urllib.request.urlopen(request, timeout=60) as response:
        answer = json.load(response)

    assert {*TYPES} == answer["types"].keys()
    with Image.open(image) as photograph:
        assert photograph.size[::-1] == np.asarray(answer["pred"]).shape


def test_without_a_group_the_split_warns_that_it_may_leak(pipeline: Path, tmp_path: Path) -> None:
    copy = clone(pipeline, tmp_path / "copy")
    change_params(copy, data_load__group=None)

    assert "may leak: data_load.group names no column" in run(copy, "dvc", "repro", "data_split")


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
