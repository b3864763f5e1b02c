"""python -m training.own_data: a folder of any usual layout becomes a table, and nothing vanishes without a word."""

import json
import os
import re
import shutil
import sys
import unicodedata
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from own_data import change_row, load, rows_of, write_castings
from own_layouts import (
    HEIGHT,
    NAMES,
    SQUARES,
    WIDTH,
    coco_json,
    compressed,
    cvat,
    in_folders,
    label_studio,
    labelme,
    mask_of,
    mvtec,
    photographs,
    uncompressed,
    voc,
    write_json,
    write_photograph,
)  # fmt: skip
from PIL import Image
from ruamel.yaml import YAML
from training_data import an_entry, params_with, write_knobs

from tests.conftest import ROOT
from tiles import encode_mask_png
from training.errors import DatasetError
from training.own_data import __main__ as own_data
from training.own_data.__main__ import look_at, main, make_table
from training.own_data.found import type_name
from training.own_data.json_files import json_files
from training.own_data.outlines import brush, ellipse
from training.own_data.proposal import as_yaml

GUIDE = (ROOT / "docs/your_data.md").read_text(encoding="utf-8")
BESIDE = in_folders("{type}/{name}", "{type}/{stem}.mask.png")


def with_relation(folder: Path) -> None:
    """Label Studio's line between two shapes, which has no value."""
    label_studio(folder, brush=False)
    tasks = json.loads((folder / "project-1.json").read_text(encoding="utf-8"))
    tasks[0]["annotations"][0]["result"].append({"type": "relation", "from_id": "a", "to_id": "b"})
    (folder / "project-1.json").write_text(json.dumps(tasks), encoding="utf-8")


def with_ignored(folder: Path) -> None:
    """labelme's own label for what is of no class."""
    labelme(folder, masks=False)
    path = folder / "photos/1.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    whole = [[0, 0], [WIDTH, 0], [WIDTH, HEIGHT], [0, HEIGHT]]
    document["shapes"].append({"label": "__ignore__", "shape_type": "polygon", "points": whole})
    write_json(path, **document)


LAYOUTS = {
    "masks beside": ("folders", BESIDE),
    "marked by _mask": ("folders", in_folders("{type}/{name}", "{type}/{stem}_mask.PNG")),
    "the published one": ("folders", in_folders("MT_{type}/Imgs/{name}", "MT_{type}/Imgs/{stem}.png")),
    "trees": ("folders", in_folders("images/{type}/{name}", "masks/{type}/{stem}.png")),
    "trees in each type": ("folders", in_folders("{type}/img/{name}", "{type}/ground_truth/{stem}_gt.png")),
    "somebody's split": ("folders", in_folders("train/images/{type}/{name}", "train/masks/{type}/{stem}.png")),
    "photographs named on a Mac": (
        "folders",
        in_folders(unicodedata.normalize("NFD", "{type}/ä{name}"), "{type}/ä{stem}.mask.png"),
    ),
    "MVTec AD": ("mvtec", mvtec),
    "VOC by number": ("voc", partial(voc, coloured=False)),
    "VOC by colour": ("voc", partial(voc, coloured=True)),
    "COCO polygons": ("coco", coco_json),
    "COCO run lengths": ("coco", partial(coco_json, outline=uncompressed)),
    "COCO compressed": ("coco", partial(coco_json, outline=compressed)),
    "Label Studio polygons": ("label-studio", partial(label_studio, brush=False)),
    "Label Studio brush": ("label-studio", partial(label_studio, brush=True)),
    "Label Studio relation": ("label-studio", with_relation),
    "labelme polygons": ("labelme", partial(labelme, masks=False)),
    "labelme masks": ("labelme", partial(labelme, masks=True)),
    "labelme's own label": ("labelme", with_ignored),
    "CVAT polygons": ("cvat", partial(cvat, masks=False)),
    "CVAT masks": ("cvat", partial(cvat, masks=True)),
}
PARAMS = params_with().data_load


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "castings").mkdir()
    return tmp_path / "castings"


def table_of(folder: Path, layout: str | None = None, tile_from: str | None = None) -> Path:
    return make_table(folder, layout, re.compile(tile_from) if tile_from else None, PARAMS)


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("L"))


@pytest.mark.parametrize(("layout", "write"), LAYOUTS.values(), ids=LAYOUTS)
def test_every_layout_of_three_castings_gives_their_truth(
    folder: Path, capsys: pytest.CaptureFixture[str], layout: str, write: Callable[[Path], None]
) -> None:
    write(folder)
    rows = rows_of(table_of(folder))
    assert f"is read as --layout {layout}," in capsys.readouterr().out
    assert {*NAMES} == {row["type"] for row in rows}
    for row in rows:
        assert (HEIGHT, WIDTH) == pixels(folder / row["image"]).shape
        assert (row["type"] == "Free") == (row["mask"] == "")
        if row["mask"]:
            np.testing.assert_array_equal(mask_of(row["type"]), pixels(folder / row["mask"]) > 127)


def test_a_voc_mask_belongs_to_the_photograph_of_its_own_subfolder(folder: Path) -> None:
    for camera, defect_type in (("cam1", "Dent"), ("cam2", "Rust spot")):
        write_photograph(folder / f"JPEGImages/{camera}/0001.jpg", defect_type)
        (folder / f"SegmentationClass/{camera}").mkdir(parents=True)
        Image.fromarray(mask_of(defect_type).astype(np.uint8)).save(folder / f"SegmentationClass/{camera}/0001.png")
    for row in rows_of(table_of(folder)):
        expected = mask_of("Dent" if "cam1" in row["image"] else "Rust spot")
        np.testing.assert_array_equal(expected, pixels(folder / row["mask"]) > 127)


def test_photographs_without_a_folder_of_masks_are_not_their_own_masks(folder: Path) -> None:
    photographs(folder / "JPEGImages")
    with pytest.raises(DatasetError, match="no photograph can be taken"):
        table_of(folder, "voc")


def test_a_drawn_mask_that_somebody_corrected_stays(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labelme(folder, masks=False)
    mask = next(folder / row["mask"] for row in rows_of(table_of(folder)) if row["mask"])
    corrected = encode_mask_png(~(pixels(mask) > 127))
    mask.write_bytes(corrected)
    table_of(folder)
    assert corrected == mask.read_bytes()
    assert (
        "1: kept, though its annotation gives another mask: delete it to have it drawn anew" in capsys.readouterr().out
    )


def test_the_photographs_in_labelmes_files_are_not_held(folder: Path) -> None:
    labelme(folder, masks=False)
    path = folder / "photos/1.json"
    write_json(path, **json.loads(path.read_text(encoding="utf-8")) | {"imageData": "x" * 1000})
    assert "imageData" not in json_files(folder)[path]


def test_a_linked_folder_is_read_and_a_link_that_leads_back_ends(folder: Path, tmp_path: Path) -> None:
    BESIDE(folder)
    expected = rows_of(table_of(folder))
    (folder / "table.csv").unlink()
    shutil.move(folder / "Dent", tmp_path / "elsewhere")
    (folder / "Dent").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere/back").symlink_to(folder)
    assert expected == rows_of(table_of(folder))


def test_photographs_that_need_more_memory_than_there_is_are_warned_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(own_data, "memory_limit_bytes", lambda: 1000)
    look_at(write_castings(tmp_path / "castings"), "casting", params_with())
    assert "warning: training holds all images decoded" in capsys.readouterr().out


def test_a_tile_whose_name_ends_in_a_blank_is_the_same_in_a_second_run(folder: Path) -> None:
    for number in (1, 2):
        write_photograph(folder / f"Dent/casting 12 ({number}).jpg", "Dent")
        (folder / f"Dent/casting 12 ({number}).mask.png").write_bytes(encode_mask_png(mask_of("Dent")))
    found = [table_of(folder, tile_from=r"^(.*)\(") for _ in range(2)]
    assert {"Dent/casting 12"} == {row["tile"] for row in rows_of(found[1])}


def test_without_folders_of_types_the_mask_says_what_is_a_defect(folder: Path, capsys) -> None:
    in_folders("images/{name}", "masks/{stem}.png")(folder)
    types = {Path(row["image"]).name: row["type"] for row in rows_of(table_of(folder))}
    assert {"1.JPG": "Defect", "2.jpeg": "Defect", "3.PNG": "Free"} == types
    assert "1: without a mask, counts as Free (images/3.PNG)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("level", "words"),
    [
        (np.uint8(1), r"brightest has 1: .*; if its values are class numbers, set data_load\.mask_above to 0"),
        (np.uint16(255), r"the highest of the 16-bit values is 255, .*: scale the values"),
    ],
)
def test_without_folders_of_types_a_dark_mask_makes_no_free_image(
    folder: Path, command: Callable[..., None], level: np.generic, words: str
) -> None:
    in_folders("images/{name}", "masks/{stem}.png")(folder)
    for path in (folder / "masks").iterdir():
        Image.fromarray((pixels(path) > 127) * level).save(path)
    with pytest.raises(DatasetError, match=words):
        command("castings")
    assert ["Defect", "Defect", "Free"] == [row["type"] for row in rows_of(folder / "table.csv")]


def test_the_noise_of_a_jpeg_mask_is_no_defect(folder: Path) -> None:
    in_folders("images/{name}", "masks/{stem}.png")(folder)
    Image.new("L", (WIDTH, HEIGHT), 15).save(folder / "masks/3.jpg")
    assert ["Defect", "Defect", "Free"] == [row["type"] for row in rows_of(table_of(folder))]


def a_webp(folder: Path) -> None:
    BESIDE(folder)
    (folder / "Dent/9.webp").touch()


def no_mask(folder: Path) -> None:
    BESIDE(folder)
    (folder / "Dent/1.mask.png").unlink()


def no_photograph(folder: Path) -> None:
    BESIDE(folder)
    (folder / "Dent/1.JPG").unlink()


def one_name_twice(folder: Path) -> None:
    BESIDE(folder)
    write_photograph(folder / "Dent/1.jpg", "Free")


def boxes(folder: Path) -> None:
    coco_json(folder, outline=lambda _: [])


def not_in_coco(folder: Path) -> None:
    coco_json(folder)
    write_photograph(folder / "images/4.jpg", "Dent")


def not_on_the_disk(folder: Path) -> None:
    coco_json(folder)
    (folder / "images/1.JPG").unlink()


def of_one_name(folder: Path) -> None:
    coco_json(folder)
    shutil.copytree(folder / "images", folder / "more")


def changed_tasks(**changes: object) -> Callable[[Path], None]:
    """Change the first task's annotation."""

    def write(folder: Path) -> None:
        label_studio(folder, brush=False)
        tasks = json.loads((folder / "project-1.json").read_text(encoding="utf-8"))
        tasks[0]["annotations"][0] |= changes
        (folder / "project-1.json").write_text(json.dumps(tasks), encoding="utf-8")

    return write


def changed_shape(**changes: object) -> Callable[[Path], None]:
    """Change the shape in labelme's first file."""

    def write(folder: Path) -> None:
        labelme(folder, masks=False)
        path = folder / "photos/1.json"
        document = json.loads(path.read_text(encoding="utf-8"))
        document["shapes"][0] |= changes
        write_json(path, **document)

    return write


def without_points(folder: Path) -> None:
    cvat(folder, masks=False)
    path = folder / "annotations.xml"
    path.write_text(path.read_text(encoding="utf-8").replace(" points=", " corners=", 1), encoding="utf-8")


def only_a_border(folder: Path) -> None:
    voc(folder, coloured=False)
    Image.fromarray(mask_of("Dent").astype(np.uint8) * 255).save(folder / "SegmentationClass/1.png")


def labelme_boxes(folder: Path) -> None:
    labelme(folder, masks=False)
    path = folder / "photos/1.json"
    path.write_text(path.read_text(encoding="utf-8").replace("polygon", "rectangle"), encoding="utf-8")


def not_labelled(folder: Path) -> None:
    labelme(folder, masks=False)
    (folder / "photos/1.json").unlink()


def cvat_boxes(folder: Path) -> None:
    cvat(folder, masks=False)
    path = folder / "annotations.xml"
    path.write_text(path.read_text(encoding="utf-8").replace("polygon", "box", 1), encoding="utf-8")


def colour_without_name(folder: Path) -> None:
    voc(folder, coloured=True)
    Image.new("RGB", (WIDTH, HEIGHT), (1, 2, 3)).save(folder / "SegmentationClass/1.png")


def without_truth(folder: Path) -> None:
    mvtec(folder)
    (folder / "ground_truth/Dent/000_mask.png").unlink()


def a_stray_photograph(folder: Path) -> None:
    BESIDE(folder)
    write_photograph(folder / "overview.jpg", "Free")


SKIPPED = {
    "in no type's folder": (a_stray_photograph, r"1: in no folder of a type, as others are: move it \(overview\.jpg\)"),
    "a format": (a_webp, r"1: no JPEG, PNG, TIFF or BMP: convert it .*\(Dent/9\.webp\)"),
    "no mask": (no_mask, r"1: it has no mask: draw one, or move it to a folder Free \(Dent/1\.JPG\)"),
    "no photograph": (no_photograph, r"1: a mask without a photograph \(Dent/1\.mask\.png\)"),
    "one name twice": (one_name_twice, r"1: several photographs or masks of one name: rename them \(Dent/1\.JPG\)"),
    "MVTec AD's mask": (without_truth, r"1: no mask in ground_truth/Dent \(test/Dent/000\.png\)"),
    "boxes": (boxes, r"2: it has a box and no outline: draw polygons or masks \(1\.JPG, 2\.jpeg\)"),
    "not in COCO": (not_in_coco, r"1: not in the annotations \(images/4\.jpg\)"),
    "not there": (not_on_the_disk, r"1: named in the annotations, but it is not there \(1\.JPG\)"),
    "two files": (of_one_name, r"3: named in the annotations, but several files have this name: name their folders"),
    "cancelled": (changed_tasks(was_cancelled=True), r"1: not annotated in Label Studio \(1\.JPG\)"),
    "boxes in Label Studio": (
        changed_tasks(result=[{"type": "rectanglelabels", "value": {}}]),
        r"1: it has a shape of the kind rectanglelabels: use polygons, .* \(1\.JPG\)",
    ),
    "boxes in labelme": (labelme_boxes, r"1: it has a shape of the kind rectangle: use polygons, .* \(1\.JPG\)"),
    "not labelled": (
        not_labelled,
        r"1: no JSON file is about it: label it, or move it to a folder Free if it has no defect \(photos/1\.JPG\)",
    ),
    "COCO's runs of another size": (
        partial(coco_json, outline=lambda _: {"counts": [5, 3]}),
        r"2: its annotation cannot be read \(ValueError\('its run lengths .* another size'\)\): .* \(1\.JPG, 2\.jpeg\)",
    ),
    "COCO's shares of the sides": (
        partial(coco_json, outline=lambda _: [[0.1, 0.2, 0.5, 0.2, 0.5, 1.0]]),
        r"2: its outlines are in shares of width and height: write them in pixels \(1\.JPG, 2\.jpeg\)",
    ),
    "Label Studio without a size": (
        changed_tasks(result=[{"type": "brushlabels", "value": {"brushlabels": ["Dent"]}}]),
        r"1: its annotation cannot be read \(KeyError\('original_height'\)\): .* \(1\.JPG\)",
    ),
    "labelme's damaged mask": (
        changed_shape(shape_type="mask", mask="AAAA"),
        r"1: its annotation cannot be read \(ValueError\('its mask is damaged'\)\): .* \(1\.JPG\)",
    ),
    "CVAT without points": (
        without_points,
        r"1: its annotation cannot be read \(KeyError\('points'\)\): .* \(1\.JPG\)",
    ),
    "a border alone": (
        only_a_border,
        r"1: its mask cannot be read: its only number is 255, which is a border's: number the classes .*\(1\.JPG\)",
    ),
    "boxes in CVAT": (cvat_boxes, r"1: it has a shape of the kind box: use polygons, ellipses or masks \(1\.JPG\)"),
    "a colour": (
        colour_without_name,
        r"1: its mask cannot be read: labelmap\.txt has no colour 1,2,3: add a line for it \(1\.JPG\)",
    ),
}


@pytest.mark.parametrize(("write", "words"), SKIPPED.values(), ids=SKIPPED)
def test_what_is_skipped_is_named(
    folder: Path, capsys: pytest.CaptureFixture[str], write: Callable[[Path], None], words: str
) -> None:
    write(folder)
    refusal = ""
    try:
        table_of(folder)
    except DatasetError as error:
        refusal = str(error)
    assert re.search(words, capsys.readouterr().out + refusal)


def no_masks(folder: Path) -> None:
    photographs(folder)


def damaged_json(folder: Path) -> None:
    photographs(folder)
    (folder / "coco.json").write_text("{", encoding="utf-8")


def other_coco(folder: Path) -> None:
    photographs(folder)
    write_json(folder / "coco.json", images=[{"name": "1.JPG"}], annotations=[], categories=[])


def a_video(folder: Path) -> None:
    photographs(folder)
    (folder / "annotations.xml").write_text("<annotations><track/></annotations>", encoding="utf-8")


def no_photographs(folder: Path) -> None:
    (folder / "notes.docx").touch()


def not_in_utf8(folder: Path) -> None:
    BESIDE(folder)
    Path(os.fsdecode(bytes(folder / "Dent") + b"/\xe4.jpg")).touch()


def types_called(one: str, other: str) -> Callable[[Path], None]:
    """Lay three castings out, the two types of defects under these names."""

    def write(folder: Path) -> None:
        BESIDE(folder)
        (folder / "Dent").rename(folder / one)
        (folder / "Rust spot").rename(folder / other)

    return write


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (
            in_folders("images/A{name}", "masks/a{stem}.png"),
            r"no mask \(.*/A1\.JPG, .*/A3\.PNG\), .* no photograph \(masks/a1\.png, masks/a2\.png\): give each mask",
        ),
        (not_in_utf8, r"Dent/\\xe4\.jpg: the file's name is not in UTF-8: rename it"),
        (no_photographs, r"castings has no JPEG, PNG, TIFF or BMP file: name the folder of your photographs"),
        (
            types_called("rust_spot", "Rust spot"),
            r"'Rust spot' and 'rust_spot': is this one type\? Then give it one name",
        ),
        (types_called("断裂", "划痕"), r"'划痕' and '断裂': is this one type\? .* each a name of other Latin letters"),
        (no_masks, r"no photograph has a mask: put it beside the photograph as <name>\.mask\.png"),
        (damaged_json, r"coco\.json cannot be read as JSON"),
        (other_coco, r"is not COCO JSON \(KeyError\('file_name'\)\): name another --layout"),
        (a_video, r'has no image: export the task as "CVAT for images 1\.1"'),
    ],
)
def test_a_folder_that_cannot_be_read_says_why(folder: Path, write: Callable[[Path], None], words: str) -> None:
    write(folder)
    with pytest.raises(DatasetError, match=words):
        table_of(folder)


def test_equal_names_are_those_beside_their_annotations(folder: Path) -> None:
    for part in ("train", "valid"):
        coco_json(folder / part)
        (folder / part / "annotations/instances.json").rename(folder / part / "_annotations.coco.json")
    rows = rows_of(table_of(folder))
    assert 6 == len({row["image"] for row in rows})
    for row in rows:
        assert row["mask"] in {"", f"table.masks/{row['image']}.png"}


def test_no_annotation_is_drawn_onto_another_photograph_of_the_same_name(folder: Path) -> None:
    coco_json(folder)
    path = folder / "annotations/instances.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    shutil.copytree(folder / "images", folder / "line-2")
    (first, second, *_), name = document["images"], document["images"][0]["file_name"]
    first["file_name"], second["file_name"] = f"line-1/{name}", f"line-2/{name}"  # the former's photograph is missing
    path.write_text(json.dumps(document), encoding="utf-8")
    rows = {row["image"]: row["type"] for row in rows_of(table_of(folder))}
    assert f"images/{name}" not in rows
    assert list(SQUARES)[1] == rows[f"line-2/{name}"]


def test_a_labelme_file_without_its_photograph_takes_none_from_another_folder(folder: Path) -> None:
    labelme(folder, masks=False)
    missing = min((folder / "photos").glob("*.json"))
    (photograph,) = (path for path in missing.parent.glob(f"{missing.stem}.*") if path != missing)
    photograph.rename(folder / "good" / photograph.name)
    rows = {row["image"]: row["type"] for row in rows_of(table_of(folder))}
    assert "Free" == rows[f"good/{photograph.name}"]


def test_photographs_that_were_moved_as_a_whole_are_found_by_their_names(folder: Path) -> None:
    coco_json(folder)
    expected = rows_of(table_of(folder))
    path = folder / "annotations/instances.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    for image in document["images"]:
        image["file_name"] = f"C:\\project\\train\\{image['file_name']}"
    path.write_text(json.dumps(document), encoding="utf-8")
    shutil.rmtree(folder / "table.masks")
    (folder / "table.csv").unlink()
    assert expected == rows_of(table_of(folder))


def test_without_a_defect_there_is_nothing_to_learn(folder: Path, command) -> None:
    mvtec(folder)
    shutil.rmtree(folder / "ground_truth")
    (folder / "ground_truth").mkdir()
    with pytest.raises(DatasetError, match="no image has a defect type; without defects there is nothing to learn"):
        command("castings")


@pytest.mark.parametrize(
    "address",
    ["1.JPG", "/data/upload/3/0123abcd-1.JPG", "/data/local-files/?d=a%5C1.JPG", "https://bucket/a/1.JPG?signature=x"],
)
def test_label_studio_names_photographs_in_many_ways(folder: Path, address: str) -> None:
    label_studio(folder, brush=False)
    path = folder / "project-1.json"
    tasks = json.loads(path.read_text(encoding="utf-8"))
    for task, name in zip(tasks, NAMES.values(), strict=True):
        task["data"] = {"id": 1, "photo": address.replace("1.JPG", name)}
    path.write_text(json.dumps(tasks), encoding="utf-8")
    assert "Dent" in {row["type"] for row in rows_of(table_of(folder)) if row["image"] == "1.JPG"}


def test_a_layout_can_be_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mvtec(folder)
    coco_json(folder)
    table_of(folder, "coco")
    assert "is read as --layout coco, COCO JSON\n" in capsys.readouterr().out
    (folder / "table.csv").unlink()
    table_of(folder)
    assert "is read as --layout mvtec, MVTec AD: train/good, test, ground_truth; it may also be coco" in (
        capsys.readouterr().out
    )


def test_of_several_types_the_largest_is_taken_and_all_are_marked(folder: Path, capsys) -> None:
    coco_json(folder)
    path = folder / "annotations/instances.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    for annotation in content["annotations"]:
        annotation["image_id"] = 0
    path.write_text(json.dumps(content), encoding="utf-8")
    row = rows_of(table_of(folder))[0]
    assert "Dent" == row["type"]
    both = mask_of("Dent") | mask_of("Rust spot")
    np.testing.assert_array_equal(both, pixels(folder / row["mask"]) > 127)
    assert "1: shows several types: it has the largest one's, and its mask marks all (1.JPG)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("Dent", "Dent"),
        ("good", "Free"),
        ("No-Defect", "Free"),
        ("Riß/groß", "Riss_gross"),
        ("2", "Type 2"),
        ("?", "Type"),
    ],
)
def test_a_label_becomes_a_name_that_a_type_may_have(label: str, name: str) -> None:
    assert name == type_name(label)


def test_a_type_that_gets_another_name_is_told(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    BESIDE(folder)
    (folder / "Dent").rename(folder / "Ätzung")
    assert {"Atzung", "Rust spot", "Free"} == {row["type"] for row in rows_of(table_of(folder))}
    assert "1: 'Ätzung' is called 'Atzung' (Ätzung/1.JPG)" in capsys.readouterr().out


def test_a_stroke_is_unpacked_as_label_studios_converter_does() -> None:
    expected = np.zeros((6, 9), bool)
    expected[1:4, 2:7] = True
    expected[2, 3] = False
    # label_studio_converter 0.0.59: brush.encode_rle of this mask, each pixel four times
    packed = [
        0, 0, 0, 216, 57, 27, 254, 43, 0, 194, 127, 247, 192, 35, 255, 140, 2, 223, 253, 240, 12, 39, 255, 147, 192, 0
    ]  # fmt: skip
    np.testing.assert_array_equal(expected, brush(packed, 6, 9))


def test_an_ellipse_has_its_area() -> None:
    for rotation in (0, 30):
        area = int(ellipse((50, 40), (30, 12), rotation, 80, 100).sum())
        assert abs(area - np.pi * 30 * 12) < 30


def test_a_table_that_a_person_changed_is_not_overwritten(folder: Path) -> None:
    BESIDE(folder)
    table = table_of(folder)
    before = table.read_bytes()
    assert table == table_of(folder)  # the same rows
    write_photograph(folder / "Free/4.png", "Free")
    with pytest.raises(
        DatasetError, match=r"has other rows than the folder: `python -m training\.own_data .*delete it"
    ):
        table_of(folder)
    assert before == table.read_bytes()


def test_the_objects_come_from_the_paths(folder: Path) -> None:
    write_castings(folder)
    (guides,) = re.findall(r"--tile-from '(.+)'", GUIDE)
    rows = rows_of(table_of(folder, tile_from=guides))
    assert [*"012345"] == sorted({row["tile"] for row in rows})  # whatever the folder of the type is
    (folder / "table.csv").unlink()
    with pytest.raises(
        DatasetError, match=r"--tile-from '\^x' finds nothing in 'Dent/0-0\.jpg': correct the expression"
    ):
        table_of(folder, tile_from="^x")


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Runs the command in a folder that has the shipped params.yaml."""
    monkeypatch.chdir(tmp_path)
    write_knobs(tmp_path / "params.yaml")

    def run(*words: str) -> None:
        monkeypatch.setattr(sys, "argv", ["own_data", *words])
        main()

    return run


def test_the_command_writes_what_data_load_reads_and_proposes_parameters(folder, tmp_path, command, capsys) -> None:
    write_castings(folder).unlink()
    command("castings", "--tile-from", r"^(.*)-\d\.")
    said = capsys.readouterr().out
    proposed = YAML(typ="safe").load(said.partition("For params.yaml:")[2])
    assert {"digest": "", "table": "castings/table.csv", "group": "tile", "types": ["Dent", "Rust spot"]} == (
        proposed["data_load"]
    )
    split = {"folds": 5, "test_fold": 4, "validation_fold": 3, "validation_tiles": 1}
    assert split == proposed["data_split"]
    assert {"crop_size": 64} == proposed["train"]
    assert {"title": "Castings"} == proposed["quantize"]
    assert re.search(r"Dent +12 +6 +2\.\d+% +1\.\d+% +7\.\d+%", said)
    assert [] == load(folder / "table.csv", tmp_path / "tiles", group="tile")
    with Image.open(folder / "table.png") as sheet:
        assert sheet.format == "PNG"
        assert sheet.width <= 1200
        colours = np.asarray(sheet.convert("RGB")).astype(int)
    assert (colours[..., 2] - colours[..., 0] > 100).any()  # masks are blue


def test_only_what_data_split_accepts_is_proposed(folder: Path) -> None:
    """The first objects of the type, which validate, have no Free image: those are of the others, which train then."""
    entries = [an_entry(f"{number}", "Dent", tile=f"{number:02}", defect_pixels=9) for number in range(15)]
    entries += [an_entry(f"{number} again", "Free", tile=f"{number:02}") for number in range(10, 15)]
    proposed = YAML(typ="safe").load(as_yaml(folder / "😀/table.csv", "tile", entries, params_with()))
    assert (5, None) == (proposed["data_split"]["folds"], proposed["data_split"]["validation_tiles"])
    assert f"{folder}/😀/table.csv" == proposed["data_load"]["table"]


def test_the_command_looks_at_a_table_that_a_person_wrote(folder, command, capsys) -> None:
    table = write_castings(folder)
    before = table.read_bytes()
    command("castings/castings.csv", "--group", "casting")
    assert 'group: "casting"' in capsys.readouterr().out
    assert before == table.read_bytes()


def test_without_objects_every_defective_image_of_the_fold_is_proposed_to_validate(folder, command, capsys) -> None:
    write_castings(folder)
    command("castings/castings.csv")
    said = capsys.readouterr().out.partition("For params.yaml:")[2]
    proposed = YAML(typ="safe").load(said.partition("If several")[0])
    assert (None, None) == (proposed["data_load"]["group"], proposed["data_split"]["validation_tiles"])


def test_an_empty_type_is_named_by_its_line(folder, command) -> None:
    change_row(write_castings(folder), 3, type="")
    with pytest.raises(DatasetError, match=r"line 3: the type is '', expected .*Dent, Rust spot, Free"):
        command("castings/castings.csv", "--group", "casting")


@pytest.mark.parametrize("name", ["castings.zip", "castings.xlsx", "castings/coco.json"])
def test_what_is_neither_a_folder_nor_a_table_is_refused(folder: Path, command, name: str) -> None:
    (folder.parent / name).touch()
    with pytest.raises(DatasetError, match=rf"{name} is neither a folder nor a CSV file: unpack an archive, save a"):
        command(name)


def test_a_persons_table_whose_types_differ_in_case_alone_is_refused(folder: Path, command) -> None:
    table = write_castings(folder)
    table.write_text(table.read_text(encoding="utf-8").replace(",Dent,", ",dent,", 1), encoding="utf-8")
    with pytest.raises(DatasetError, match=r"'Dent' and 'dent': is this one type\?"):
        command("castings/castings.csv", "--group", "casting")


def test_a_labelme_circle_has_its_area(folder: Path) -> None:
    labelme(folder, masks=False)
    path = folder / "photos/1.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    document["shapes"][0] |= {"shape_type": "circle", "points": [[25, 20], [25, 32]]}
    write_json(path, **document)
    assert np.pi * 12**2 == pytest.approx((pixels(folder / rows_of(table_of(folder))[0]["mask"]) > 0).sum(), rel=0.03)


def test_the_command_refuses_wrong_truth_by_the_files_name(folder, command) -> None:
    write_castings(folder)
    shape = pixels(folder / "Dent/0-0.mask.png").shape
    Image.new("L", shape[::-1], 0).save(folder / "Dent/0-0.mask.png")
    with pytest.raises(DatasetError, match=r"Dent/0-0\.mask\.png: the mask has no pixel brighter than 127"):
        command("castings")


def test_too_few_objects_are_told_before_training(folder, command) -> None:
    BESIDE(folder)
    with pytest.raises(
        DatasetError, match=r"Dent has 1 tiles, .*three is the least: photograph more objects of each type"
    ):
        command("castings")


def test_a_defect_of_one_pixel_is_seen_on_the_sheet(folder, command) -> None:
    write_castings(folder)
    Image.new("L", (2000, 1500), 90).save(folder / "Dent/0-0.jpg")
    speck = Image.new("L", (2000, 1500), 0)
    speck.putpixel((700, 900), 255)
    speck.save(folder / "Dent/0-0.mask.png")
    command("castings")
    with Image.open(folder / "table.png") as sheet:
        colours = np.asarray(sheet.convert("RGB")).astype(int)[:290, :290]  # the smallest share comes first
    assert (colours[..., 2] - colours[..., 0] > 100).any()
