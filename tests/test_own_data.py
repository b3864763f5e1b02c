"""A user's own images: what does not fit is named, what fits is trained on and served, and no code is touched."""

import json
import re
import shutil
import urllib.request
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from own_data import TYPES, load, params_of, rows_of, write_castings
from PIL import Image
from ruamel.yaml import YAML
from training_data import params_with

from host.ports import free_port
from tests.clones import clone, commit, run
from tests.conftest import ROOT, Service, answers, wait_until
from training.dataset.index import read_index
from training.dataset.split import assign_folds
from training.dataset.table import contents, read_table
from training.errors import DatasetError


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return write_castings(tmp_path / "castings")


def test_the_index_holds_each_image_with_its_group_and_its_masks_pixels(table: Path, tmp_path: Path) -> None:
    load(table, tmp_path / "tiles")
    entries = {entry.name: entry for entry in read_index(tmp_path / "tiles/index.csv")}

    assert len(rows_of(table)) == len(entries) == 36
    assert ("Rust spot 3", "Rust spot", 256) == (
        entries["Rust spot-3-1"].tile, entries["Rust spot-3-1"].defect_type, entries["Rust spot-3-1"].defect_pixels
    )  # fmt: skip
    assert 0 == entries["Free-0-0"].defect_pixels
    assert (table.parent / "Rust spot/3-1.png").read_bytes() == (
        tmp_path / "tiles/images/Rust spot-3-1.png"
    ).read_bytes()
    assert (table.parent / "Rust spot/3-0.jpg").read_bytes() == (
        tmp_path / "tiles/images/Rust spot-3-0.jpg"
    ).read_bytes()


def test_the_images_of_a_group_share_a_fold_and_without_a_column_they_may_not(table: Path, tmp_path: Path) -> None:
    split = params_with(data_split__folds=3, data_split__test_fold=1, data_split__validation_fold=2).data_split
    parted = {}
    for group in ("casting", None):
        load(table, tmp_path / str(group), group=group)
        folds = assign_folds(read_index(tmp_path / str(group) / "index.csv"), split, seed=1)
        parted[group] = [name for name in folds if name.endswith("-0") and folds[name] != folds[f"{name[:-1]}1"]]

    assert [] == parted["casting"]
    assert parted[None]


def test_a_type_of_the_parameters_that_no_image_has_is_named(table: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no image has the type Scratch: remove it from"):
        load(table, tmp_path / "tiles", types=(*TYPES, "Scratch"))


def test_equal_files_have_an_equal_digest(table: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(table.parent, tmp_path / "copy")
    one, other = (contents(read_table(path, params_of(path))) for path in (table, copy / table.name))
    assert one == other
    assert 36 + 24 == len(one)


def test_the_digest_tells_other_images_of_the_same_names_and_sizes(table: Path, tmp_path: Path) -> None:
    load(table, tmp_path / "before")
    image = table.parent / "Dent/0-0.jpg"
    image.write_bytes(image.read_bytes() + b"\0")  # which no decoder minds
    load(table, tmp_path / "after")
    for name, same in (("index.csv", True), ("digest", False)):
        assert same == ((tmp_path / "before" / name).read_text() == (tmp_path / "after" / name).read_text())


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"data_load__types": ["Dent", "Dent"]}, "different names"),
        ({"data_load__types": ["Dent", "Free"]}, "not Free"),
        ({"data_load__types": ["Dent, large"]}, "pattern"),
        ({"data_load__types": []}, "at least 1"),
        ({"data_load__group": "casting"}, "a column of data_load.table, which is null"),
    ],
)
def test_parameters_that_do_not_fit_are_refused(changes: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        params_with(**changes)


def edit(folder: Path, table: Path, group: str | None) -> None:
    """What docs/your_data.md tells a user to edit, and a small training."""
    yaml, path = YAML(), folder / "params.yaml"
    params = yaml.load(path)
    params["data_load"] |= {"table": str(table), "group": group, "types": list(TYPES), "digest": ""}
    params["data_split"] |= {"folds": 3, "test_fold": 1, "validation_fold": 2}
    params["train"] |= {"synthetic_share": 0, "consensus": False}
    params["train"] |= {"epochs": 2, "crops_per_epoch": 16, "batch_size": 8, "crop_size": 64, "validate_every": 1}
    params["quantize"] |= {
        "title": "Castings",
        "min_dice_pooled": 0.0,
        "min_auroc": 0.0,
    }  # two epochs make no good model
    params["evaluate"]["robustness"] = {name: levels[:1] for name, levels in params["evaluate"]["robustness"].items()}
    yaml.dump(params, path)


@pytest.mark.slow
def test_a_digest_that_is_given_up_again_brings_no_old_photographs_back(tmp_path: Path) -> None:
    """DVC's run cache knows the parameters of a run, and not the files of the table."""
    repository, table = clone(ROOT, tmp_path / "repository"), write_castings(tmp_path / "castings")
    edit(repository, table, "casting")
    load_them, digest = ("dvc", "repro", "--single-item", "data_load"), repository / "data/tiles/digest"
    run(repository, *load_them)
    before = digest.read_text()
    state(repository, before.strip())
    run(repository, *load_them)
    image = table.parent / "Dent/0-0.jpg"
    image.write_bytes(image.read_bytes() + b"\0")
    state(repository, "")
    run(repository, *load_them)
    assert before != digest.read_text()


def state(folder: Path, digest: str) -> None:
    """Say in the parameters which photographs are expected."""
    yaml, path = YAML(), folder / "params.yaml"
    params = yaml.load(path)
    params["data_load"]["digest"] = digest
    yaml.dump(params, path)


@pytest.fixture(scope="module")
def castings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone in which `dvc repro` ran on the castings."""
    folder = tmp_path_factory.mktemp("own")
    repository = clone(ROOT, folder / "repository")
    edit(repository, write_castings(folder / "castings"), "casting")
    commit(repository, "castings")
    run(repository, "dvc", "repro")
    return repository


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_pipelines_figures_are_of_the_users_types(castings: Path) -> None:
    figures = json.loads((castings / "evaluation/metrics.json").read_text())["test"]
    config = (castings / "model_repository/segmenter/config.pbtxt").read_text()
    card = (castings / "docs/model_card.md").read_text()

    assert {*TYPES} == figures["dice_by_type"].keys()
    assert 'key: "model.types" value: { string_value: "Dent,Rust spot" }' in config
    assert "Dice of Rust spot, pooled" in card
    assert "castings.csv" in card
    assert card.startswith("# Model card: Castings\n")
    assert 'key: "model.title" value: { string_value: "Castings" }' in config
    assert not re.search("Blowhole|Uneven|Huang|doubt|five|six|[Mm]agnetic", card)
    digest = (castings / "data/tiles/digest").read_text().strip()
    assert digest == json.loads((castings / "models/segmenter.json").read_text())["data_digest"]


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_service_answers_with_the_users_types(castings: Path, start_service: Callable[..., Service]) -> None:
    ports = {name: str(free_port()) for name in ("PORT", "TRITON_HTTP_PORT", "TRITON_METRICS_PORT")}
    service = start_service("launch", MODEL_REPOSITORY=str(castings / "model_repository"), **ports)
    here = f"http://127.0.0.1:{ports['PORT']}"
    wait_until(lambda: answers(f"{here}/health/ready"), service)
    image = castings.parent / "castings/Rust spot/0-1.png"

    request = urllib.request.Request(f"{here}/analyze", image.read_bytes(), {"Content-Type": "image/png"})
    with urllib.request.urlopen(request, timeout=60) as response:
        answer = json.load(response)

    assert {*TYPES} == answer["types"].keys()
    with Image.open(image) as photograph:
        assert photograph.size[::-1] == np.asarray(answer["pred"]).shape


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_without_a_group_the_split_warns_that_it_may_leak(castings: Path, tmp_path: Path) -> None:
    copy = clone(castings, tmp_path / "copy")
    edit(copy, castings.parent / "castings/castings.csv", None)

    assert "may leak: data_load.group names no column" in run(copy, "dvc", "repro", "data_split")
