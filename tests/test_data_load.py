"""From the archive to data/tiles: what equal content is, that every bad file is named, that no failure loses data."""

import csv
import io
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from training_data import ROOT, params_with, sample_members, write_knobs, write_zip

from tiles import DEFECT_TYPES, decode_mask
from training.dataset.archive import ENVIRONMENT_VARIABLE, read_members
from training.dataset.index import content_digest, verify_content
from training.dataset.published import read_tile_ids, write_dataset
from training.errors import ArchiveError, DatasetError
from training.stages import data_load

PARAMS = params_with().data_load
CRACK = "MT_Crack/Imgs/exp1_num_342140"
FREE = "MT_Free/Imgs/exp1_num_10903"
BREAK = "MT_Break/Imgs/exp1_num_271361"
DEFECTIVE_FREE = "MT_Free/Imgs/exp1_num_13526"


def files_below(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def png(width, height, grey=0):
    buffer = io.BytesIO()
    Image.new("L", (width, height), grey).save(buffer, "PNG")
    return buffer.getvalue()


def test_equal_content_has_one_digest_whatever_the_zip_looks_like(tmp_path):
    members = sample_members("Crack", "Free")
    plain = write_zip(tmp_path / "plain.zip", members)
    other = write_zip(
        tmp_path / "other.zip", dict(reversed(members.items())), root="mine/", compression=zipfile.ZIP_DEFLATED
    )
    assert plain.read_bytes() != other.read_bytes()
    assert content_digest(read_members(plain)) == content_digest(read_members(other))


@pytest.mark.parametrize(
    "change",
    [
        lambda members: members.update({f"{FREE}.jpg": members[f"{FREE}.jpg"][:-1] + b"\0"}),
        lambda members: members.update({"MT_Free/Imgs/z.png": members.pop(max(members))}),  # still the last
        lambda members: members.pop(f"{FREE}.png"),
        lambda members: members.update({"MT_Free/Imgs/more.jpg": b""}),
        lambda members: members.update({f"{FREE}.jpg": members[f"{FREE}.png"], f"{FREE}.png": members[f"{FREE}.jpg"]}),
    ],
    ids=["one byte", "a name", "one less", "one more", "swapped"],
)
def test_other_content_has_another_digest(change):
    members = sample_members("Free")
    before = content_digest(members)
    change(members)
    assert before != content_digest(members)


def test_a_digest_that_differs_from_the_parameters_names_both_and_the_key():
    members = sample_members("Crack")
    told = rf"files of mine\.zip have the digest {content_digest(members)}, but params\.yaml expects abc123.*digest"
    with pytest.raises(ArchiveError, match=told):
        verify_content(members, "abc123", Path("mine.zip"))


def test_an_empty_digest_accepts_any_content_and_prints_its_own(capsys):
    members = sample_members("Crack")
    verify_content(members, "", Path("mine.zip"))
    assert content_digest(members) in capsys.readouterr().out


def test_images_are_written_as_published_and_masks_by_the_rule(tmp_path):
    members = sample_members()
    write_dataset(members, read_tile_ids(), PARAMS, tmp_path)
    written = files_below(tmp_path)
    stems = {name[:-4] for name in members}
    for stem in stems:
        image = stem.split("/")[-1]
        assert members[f"{stem}.jpg"] == written.pop(f"images/{image}.jpg")
        truth = np.asarray(Image.open(io.BytesIO(members[f"{stem}.png"])).convert("L")) > 127
        mask = decode_mask(written.pop(f"masks/{image}.png"), above=0, max_pixels=PARAMS.max_pixels)
        np.testing.assert_array_equal(truth, mask)
    assert f"{content_digest(members)}\n".encode() == written.pop("digest")
    assert ["index.csv"] == list(written)


def test_the_index_has_a_row_for_each_image_ordered_by_image(tmp_path):
    write_dataset(sample_members(), read_tile_ids(), PARAMS, tmp_path)
    with (tmp_path / "index.csv").open(newline="") as file:
        header, *rows = csv.reader(file)
    assert ["image", "tile", "type", "width", "height", "defect_pixels"] == header
    assert 30 == len(rows)
    assert sorted(rows) == rows
    assert {*DEFECT_TYPES, "Free"} == {row[2] for row in rows}
    assert ["exp1_num_342140", "342140", "Crack", "421", "372", "303"] in rows
    assert ["exp4_num_342190", "342140", "Crack", "342", "374", "540"] in rows  # the same tile, another exposure
    assert ["exp1_num_10903", "10903", "Free", "506", "347", "0"] in rows


def test_defect_pixels_follow_the_stated_rule(tmp_path):
    members = sample_members("Crack")
    for above in (127, 0):
        params = params_with(data_load__mask_above=above, data_load__types=["Crack"]).data_load
        write_dataset(members, read_tile_ids(), params, tmp_path / str(above))
    counts = {}
    for above in (127, 0):
        with (tmp_path / str(above) / "index.csv").open(newline="") as file:
            counts[above] = {row["image"]: int(row["defect_pixels"]) for row in csv.DictReader(file)}
    assert 303 == counts[127]["exp1_num_342140"]
    assert 511 == counts[0]["exp1_num_342140"]


def broken_archive():
    """Members with every kind of fault, and the words that each must be told with."""
    members = sample_members()
    size = Image.open(io.BytesIO(members["MT_Uneven/Imgs/exp1_num_109232.jpg"])).size
    members[f"{CRACK}.jpg"] = b"not an image"
    members[f"{FREE}.jpg"] = members[f"{FREE}.jpg"][:9000]
    members[f"{BREAK}.png"] = b"\x89PNG\r\n\x1a\n broken"
    members["MT_Uneven/Imgs/exp1_num_109232.png"] = png(20, 10)
    members[f"{DEFECTIVE_FREE}.png"] = png(*Image.open(io.BytesIO(members[f"{DEFECTIVE_FREE}.jpg"])).size, grey=128)
    del members["MT_Fray/Imgs/exp1_num_331149.png"]
    del members["MT_Blowhole/Imgs/exp1_num_262480.jpg"]
    members["MT_Scratch/Imgs/exp9_num_2.jpg"] = members[f"{FREE}.png"]
    members["MT_Free/Imgs/exp9_num_1.jpg"] = members[f"{FREE}.png"]
    faults = {
        f"{CRACK}.jpg": "not an image of a known format",
        f"{FREE}.jpg": "truncated",
        f"{BREAK}.png": "truncated or damaged",
        "MT_Uneven/Imgs/exp1_num_109232.png": f"the mask has (20, 10) pixels, but its image has {size}",
        f"{DEFECTIVE_FREE}.png": "the mask has a defect, but the folder is MT_Free: move image and mask",
        "MT_Fray/Imgs/exp1_num_331149.jpg": "its mask MT_Fray/Imgs/exp1_num_331149.png is missing",
        "MT_Blowhole/Imgs/exp1_num_262480.png": "its image MT_Blowhole/Imgs/exp1_num_262480.jpg is missing",
        "MT_Scratch/Imgs/exp9_num_2.jpg": "the folder's type Scratch is not one of Blowhole, ",
        "MT_Free/Imgs/exp9_num_1.jpg": "tile_ids.csv does not name the tile that it shows",
    }
    return members, faults


def test_one_error_names_every_bad_file_and_what_is_wrong_with_it(tmp_path):
    members, faults = broken_archive()
    with pytest.raises(DatasetError) as refusal:
        write_dataset(members, read_tile_ids(), PARAMS, tmp_path / "tiles")
    told = dict(line.strip().split(": ", 1) for line in str(refusal.value).splitlines()[1:])
    assert faults.keys() == told.keys()
    for name, words in faults.items():
        assert words in told[name]
    assert not (tmp_path / "tiles" / "index.csv").exists()


def test_an_image_over_the_pixel_limit_is_named(tmp_path):
    params = params_with(data_load__max_pixels=421 * 372 - 1).data_load
    members = {f"{CRACK}{suffix}": sample_members("Crack")[f"{CRACK}{suffix}"] for suffix in (".jpg", ".png")}
    with pytest.raises(DatasetError, match=rf"{CRACK}\.jpg: the image has 421 x 372 = .* but at most 156611"):
        write_dataset(members, read_tile_ids(), params, tmp_path)


def test_one_image_name_in_two_types_is_refused(tmp_path):
    members = sample_members("Crack")
    members |= {name.replace("MT_Crack", "MT_Free"): content for name, content in members.items()}
    with pytest.raises(DatasetError, match=rf"{CRACK}\.jpg: another type has an image of this name"):
        write_dataset(members, read_tile_ids(), PARAMS, tmp_path)


def test_a_type_without_an_image_is_refused(tmp_path):
    params = params_with(data_load__types=["Crack", "Dent", "Scratch"]).data_load
    with pytest.raises(DatasetError, match=r"no image has the type Dent, Scratch: remove it from data_load\.types"):
        write_dataset(sample_members("Crack", "Free"), read_tile_ids(), params, tmp_path)


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder to run the stage in, with a good archive, its parameters and what the package check reads."""
    members = sample_members("Crack", "Free")
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, str(write_zip(tmp_path / "archive.zip", members)))
    write_knobs(tmp_path / "params.yaml", data_load__digest=content_digest(members), data_load__types=["Crack"])
    (tmp_path / "requirements").mkdir()
    shutil.copyfile(ROOT / "requirements/training.txt", tmp_path / "requirements/training.txt")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_stage_replaces_the_folder_as_a_whole(project):
    stale = project / "data/tiles/images/stale.jpg"
    stale.parent.mkdir(parents=True)
    stale.write_bytes(b"")
    data_load.main()
    assert ["tiles"] == [path.name for path in (project / "data").iterdir()]
    assert 2 + 2 * 10 == len(files_below(project / "data/tiles"))
    assert not stale.exists()


def bad_content(project):
    members, _ = broken_archive()
    write_zip(project / "archive.zip", members)
    write_knobs(project / "params.yaml", data_load__digest=content_digest(members))


def another_archive(project):
    write_zip(project / "archive.zip", sample_members("Fray"))


def no_archive(project):
    (project / "archive.zip").unlink()


@pytest.mark.parametrize(
    ("spoil", "error"), [(bad_content, DatasetError), (another_archive, ArchiveError), (no_archive, ArchiveError)]
)
def test_a_run_that_fails_leaves_the_earlier_dataset_untouched(project, spoil, error):
    data_load.main()
    before = files_below(project / "data/tiles")
    spoil(project)
    with pytest.raises(error):
        data_load.main()
    assert before == files_below(project / "data/tiles")


def test_a_run_after_a_failed_one_succeeds(project):
    good = (project / "archive.zip").read_bytes(), (project / "params.yaml").read_bytes()
    bad_content(project)
    with pytest.raises(DatasetError):
        data_load.main()
    (project / "archive.zip").write_bytes(good[0])
    (project / "params.yaml").write_bytes(good[1])
    data_load.main()
    assert 2 + 2 * 10 == len(files_below(project / "data/tiles"))
