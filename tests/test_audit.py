"""The label audit, on made-up photographs of made-up tiles: each rule finds what it should, and no more."""

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from surfaces import BORDER, HEIGHT, SPOT, WIDTH, mask_of, photograph, series, surface
from training_data import ROOT, a_sample, write_knobs

from studies.audit import __main__ as audit
from studies.audit.figures import examine
from studies.audit.report import render
from studies.audit.rules import missing_labels, two_types, votes
from studies.audit.tile_recovery import frame, recover_tiles, sample_pairs
from studies.registration import Alignment, Registrar, project, turn
from tiles import encode_mask_png
from training.dataset.index import write_index
from training.dataset.published import read_tile_ids
from training.errors import DatasetError


def changed(sample, *, image=None, mask=None, defect_type=None):
    entry = sample.entry
    return a_sample(
        sample.image if image is None else image,
        sample.mask if mask is None else mask,
        defect_type=defect_type or entry.defect_type,
        name=entry.name,
        tile=entry.tile,
    )


def by_name(*samples):
    return {sample.entry.name: sample for sample in samples}


def registrar_of(samples):
    return Registrar({sample.entry.name: sample.image for sample in samples})


def names(samples):
    return [sample.entry.name for sample in samples]


def recovered(samples):
    return recover_tiles([sample.entry for sample in samples], registrar_of(samples))


@pytest.mark.parametrize(("moved", "degrees"), [((0, 0), 0.0), ((6, -8), 0.0), ((-4, 12), 1.5), ((8, 8), -2.0)])
def test_a_photograph_is_registered_by_its_shift_and_turn(moved, degrees):
    plain = surface(1)
    registrar = Registrar({"here": photograph(plain), "there": photograph(plain, moved=moved, degrees=degrees)})
    found = registrar.align("here", "there")
    assert -degrees == pytest.approx(found.degrees, abs=0.5)
    assert moved == pytest.approx((found.rows, found.columns), abs=3)
    assert found.correlation > 0.5


def test_streaks_that_all_tiles_share_make_no_pair_of_tiles_alike():
    images = {"one": photograph(surface(1)), "two": photograph(surface(2))}
    assert Registrar(images).align("one", "two").correlation < 0.2
    assert Registrar(images, streaks=True).align("one", "two").correlation > 0.5


def test_a_projected_mask_lies_where_the_reference_shows_the_defect():
    mask = mask_of(SPOT, moved=(6, -8))
    onto = project(mask, Alignment(1.0, 0.0, 6, -8), (HEIGHT, WIDTH))
    np.testing.assert_array_equal(mask_of(SPOT), onto)
    assert onto.dtype == bool


def test_pixels_that_the_other_photograph_does_not_show_are_projected_as_nothing():
    onto = project(np.ones((10, 20), bool), Alignment(1.0, 0.0, 3, -5), (10, 20))
    assert 7 * 15 == onto.sum()
    assert onto[3:, :15].all()


def test_the_photographs_of_a_surface_are_recovered_as_a_tile_even_where_series_interleave():
    one, two = series(1, 1000), series(2, 1005)
    assert [names(one), names(two)] == recovered([*two, *one])


def test_a_tile_that_was_turned_between_exposures_is_one():
    straight, turned = series(1, 1000, exposures=(1, 2, 3)), series(1, 1000, exposures=(4, 5, 6))
    turned = [changed(sample, image=photograph(surface(1), degrees=2.5)) for sample in turned]
    assert [names([*straight, *turned])] == recovered([*straight, *turned])


def test_a_tile_that_was_photographed_again_much_later_and_the_other_way_round_is_one():
    first, others = series(1, 1000), [sample for seed in range(2, 6) for sample in series(seed, 1000 * seed)]
    again = [changed(sample, image=np.ascontiguousarray(turn(sample.image, 180))) for sample in series(1, 9000)]
    groups = recovered([*first, *others, *again])
    assert 5 == len(groups)
    assert names([*first, *again]) == groups[0]


def test_a_name_without_exposure_and_frame_is_refused():
    with pytest.raises(DatasetError, match="tile-7: the name is not exp<exposure>_num_<frame>"):
        recovered([a_sample(photograph(surface(1)), mask_of(), name="tile-7")])


def test_sampled_pairs_are_of_one_tile_and_of_two_tiles_of_equal_size():
    small = [
        a_sample(photograph(surface(3), height=HEIGHT - 11), mask_of(height=HEIGHT - 11), name="exp1_num_9", tile="9")
    ]
    entries = [sample.entry for sample in (*series(1, 1000), *series(2, 2000), *small)]
    tile = {entry.name: entry.tile for entry in entries}
    inside, between = sample_pairs(entries, 1000, seed=0)
    assert (30, 36) == (len(inside), len(between))
    assert all(tile[a] == tile[b] for a, b in inside)
    assert all(tile[a] != tile[b] for a, b in between)
    assert ([inside[0]], [between[0]]) == tuple(pairs[:1] for pairs in sample_pairs(entries, 1000, seed=0))


def with_missing_labels():
    """A tile of which one Free image shows the labelled defect, one had it painted out, one leaves it out of frame."""
    shows, painted, cropped, *labelled = series(1, 1000, SPOT, defect_type="Blowhole")
    empty = np.zeros_like(shows.mask)
    height = SPOT[0].start - BORDER - 10
    return [
        changed(shows, mask=empty, defect_type="Free"),
        changed(painted, image=photograph(surface(1), moved=(2, -2)), mask=empty, defect_type="Free"),
        changed(cropped, image=cropped.image[:height], mask=empty[:height], defect_type="Free"),
        *labelled,
    ]


def test_a_free_image_is_told_to_show_its_siblings_defect_only_where_it_does():
    tile = with_missing_labels()
    found = missing_labels(tile, registrar_of(tile).align)
    assert names(tile[:3]) == [shown.entry.name for shown in found]
    assert [True, False, False] == [shown.fires for shown in found]
    assert [3, 3, 3] == [shown.siblings for shown in found]
    assert [1, 1, 0] == [shown.inside for shown in found]
    assert found[2].correlation is None


def test_a_tile_without_any_label_has_no_missing_one():
    tile = series(1, 1000, SPOT, labelled=False)
    assert [] == missing_labels(tile, registrar_of(tile).align)


def test_equal_masks_agree_and_one_elsewhere_does_not():
    *equal, other = series(1, 1000, SPOT, defect_type="Break")
    elsewhere = (slice(40, 54), slice(60, 74))
    tile = [*equal, changed(other, mask=mask_of(elsewhere))]
    found = votes(tile, registrar_of(tile).align)
    assert [5] * 6 == [vote.siblings for vote in found]
    assert all(vote.dice > 0.8 for vote in found[:5])
    assert 0 == found[5].dice
    assert 14 * 14 == found[5].mask


def test_a_tile_of_two_types_is_told_with_the_agreement_of_their_masks():
    one, *others = series(1, 1000, SPOT, defect_type="Break")
    tile = [changed(one, defect_type="Crack"), *others]
    found = two_types(tile, registrar_of(tile).align)
    assert {"Break": tuple(names(others)), "Crack": (one.entry.name,)} == found.images
    assert found.dice > 0.8


def test_a_defect_beside_free_images_is_one_type():
    tile = with_missing_labels()
    assert two_types(tile, registrar_of(tile).align) is None


def a_dataset():
    """A small dataset with a fault of each kind, and the reasons that its doubtful images must be given."""
    missing = with_missing_labels()
    tiny = np.zeros((HEIGHT, WIDTH), bool)
    tiny[70, 90:93] = True
    four = np.zeros((HEIGHT, WIDTH), bool)
    four[70, 90:94] = True
    none, three, enough, *uneven = series(2, 2000, (slice(60, 120), slice(60, 190)), defect_type="Uneven")
    uneven = [changed(none, mask=tiny & False), changed(three, mask=tiny), changed(enough, mask=four), *uneven]
    apart = [*series(3, 3000, exposures=(1, 2, 3)), *series(3, 3000, exposures=(4, 5, 6), tile="3040")]
    under_one = [*series(4, 4000), *series(5, 5000, tile="4000")]
    samples = by_name(*missing, *uneven, *apart, *under_one)
    doubtful = {
        missing[0].entry.name: "filed as Free but shows the defect that its siblings label",
        none.entry.name: "filed as Uneven with an empty mask",
        three.entry.name: "filed as Uneven with a mask of 3 pixels",
    }
    return samples, dict(sorted(doubtful.items()))


@pytest.fixture(scope="module")
def found():
    """The audit of the small dataset."""
    samples, _ = a_dataset()
    return examine(samples)


def test_the_audit_doubts_the_wrong_labels_and_no_other(found):
    _, doubtful = a_dataset()
    assert doubtful == found.doubtful


def test_the_audit_tells_where_the_table_of_tiles_is_wrong(found):
    assert 5 == len(found.tiles)
    assert [("3000", "3040")] == [difference.tiles for difference in found.joined]
    assert [("4000",)] == [difference.tiles for difference in found.parted]
    assert found.joined[0].correlation > 0.5
    assert found.parted[0].correlation < 0.2
    assert 0.5 < found.rand_index < 1


def test_a_report_is_made_even_where_nothing_is_wrong():
    samples = by_name(*series(1, 1000, SPOT, defect_type="Blowhole"), *series(2, 2000))
    found = examine(samples)
    report = render(found)
    assert {} == found.doubtful
    assert 1.0 == found.rand_index
    assert 7 == report.count("None.")  # joined, parted, exposures, empty, missing, unlike masks, two types
    assert "{" not in report


def write_dataset(folder, samples):
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    for name, sample in samples.items():
        Image.fromarray(sample.image).save(folder / "images" / f"{name}.jpg", format="PNG")
        (folder / "masks" / f"{name}.png").write_bytes(encode_mask_png(sample.mask))
    write_index([sample.entry for sample in samples.values()], folder)


def tiles_of(tile_ids):
    """The images of each tile, as `recover_tiles` gives them."""
    images = sorted(tile_ids, key=frame)
    return [[image for image in images if tile_ids[image] == tile] for tile in dict.fromkeys(map(tile_ids.get, images))]


def test_the_script_writes_report_list_and_tiles_and_leaves_nothing_else(tmp_path, monkeypatch, found):
    samples, doubtful = a_dataset()
    write_dataset(tmp_path / "data/tiles", samples)
    write_knobs(tmp_path / "params.yaml")
    (tmp_path / "requirements").mkdir()
    shutil.copyfile(ROOT / "requirements/training.txt", tmp_path / "requirements/training.txt")
    monkeypatch.setattr(audit, "TILE_IDS_FILE", Path("tables/tile_ids.csv"))
    monkeypatch.setattr(audit, "DOUBTFUL_FILE", Path("tables/doubtful_images.csv"))
    for path in (audit.REPORT_FILE, audit.DOUBTFUL_FILE, audit.TILE_IDS_FILE):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text("old")
    monkeypatch.chdir(tmp_path)
    audit.main()
    with audit.DOUBTFUL_FILE.open(newline="") as file:
        rows = list(csv.reader(file))
    assert [["image", "reason"], *map(list, doubtful.items())] == rows
    assert render(found) == audit.REPORT_FILE.read_text()
    assert [audit.REPORT_FILE] == [path.relative_to(tmp_path) for path in (tmp_path / "studies").iterdir()]
    assert {audit.DOUBTFUL_FILE, audit.TILE_IDS_FILE} == {
        path.relative_to(tmp_path) for path in (tmp_path / "tables").iterdir()
    }
    assert recovered(samples.values()) == tiles_of(read_tile_ids(audit.TILE_IDS_FILE))


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.skipif(
    not (ROOT / "data/tiles/index.csv").is_file(), reason="data/tiles is not there: dvc repro data_load"
)
def test_the_committed_report_and_list_are_what_the_script_gives_on_the_dataset(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    committed = {name: (ROOT / getattr(audit, name)) for name in ("REPORT_FILE", "DOUBTFUL_FILE", "TILE_IDS_FILE")}
    for name, path in committed.items():
        monkeypatch.setattr(audit, name, tmp_path / path.name)
    audit.main()
    for path in committed.values():
        assert path.read_text() == (tmp_path / path.name).read_text()
