"""The samples of a part: what contradicts data/split.csv, or was damaged since data_load, is named with its mend."""

import pytest
from training_data import params_with, sample_names, write_project

from training.dataset.samples import load_part
from training.errors import DatasetError

CRACKS = sample_names("Crack")[:2]


@pytest.fixture
def project(tmp_path, monkeypatch):
    write_project(tmp_path, {"train": CRACKS})
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("project")
def test_a_part_has_its_images():
    assert sorted(name.removeprefix("Crack/") for name in CRACKS) == [
        sample.entry.name for sample in load_part("train", params_with())
    ]


@pytest.mark.usefixtures("project")
def test_a_part_without_an_image_is_refused():
    with pytest.raises(DatasetError, match=r"no image is in the part test: look into data/split\.csv"):
        load_part("test", params_with())


def test_a_split_of_fewer_images_is_refused(project):
    split = project / "data/split.csv"
    split.write_text("\n".join(split.read_text().splitlines()[:2]) + "\n")
    with pytest.raises(DatasetError, match=r"lacks 1 images \(exp\w+, for one\): run `dvc repro data_split`"):
        load_part("train", params_with())


@pytest.mark.parametrize("folder", ["images", "masks"])
def test_a_file_that_was_damaged_since_is_named(project, folder):
    damaged = min((project / "data/tiles" / folder).iterdir())
    damaged.write_bytes(damaged.read_bytes()[:100])
    with pytest.raises(DatasetError, match=rf"{damaged.stem} cannot be read \(.*: run `dvc repro --force data_load`"):
        load_part("train", params_with())
