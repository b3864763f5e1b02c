"""Own photographs and masks that are wrong although every file is sound: a line names each and the mend."""

import io
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from own_data import TYPES, change_row, load, params_of, refuse_load, rows_of, write_castings
from PIL import Image
from training_data import params_with, write_knobs

from training.dataset.index import read_index
from training.dataset.split import refuse_shared_photographs
from training.errors import DatasetError
from training.stages import data_load, data_split

PHOTOGRAPH, MASK = "Dent/0-0.jpg", "Dent/0-0.mask.png"
ORIENTATION = 0x0112  # EXIF's tag


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return write_castings(tmp_path / "castings")


def opened(path: Path) -> Image.Image:
    with Image.open(io.BytesIO(path.read_bytes())) as image:
        image.load()
        return image


def redrawn(draw: Callable[[np.ndarray], Image.Image], mask: str = MASK) -> Callable[[Path], None]:
    """Replace a mask by what is drawn of it. Shapes: (H, W) bool."""

    def spoil(table: Path) -> None:
        path = table.parent / mask
        draw(np.asarray(opened(path).convert("L")) > 127).save(path)

    return spoil


def painted(grey: int, size: tuple[int, int] | None = None) -> Callable[[np.ndarray], Image.Image]:
    return lambda mask: Image.new("L", size or mask.shape[::-1], grey)


def grey(levels: np.ndarray) -> Image.Image:
    return Image.fromarray(levels.astype(np.uint8))


def transparent(colour: int) -> Callable[[np.ndarray], Image.Image]:
    """Draw one colour everywhere, and the mask in its transparency."""
    return lambda mask: Image.merge("LA", [Image.new("L", mask.shape[::-1], colour), grey(mask * 255)])


def in_a_palette(mask: np.ndarray) -> Image.Image:
    image = Image.fromarray(mask.astype(np.uint8)).convert("P")
    image.putpalette([255, 255, 255] * 2)
    image.info["transparency"] = 0
    return image


def turned(*names: str) -> Callable[[Path], None]:
    """Say by EXIF that files are upside down."""

    def spoil(table: Path) -> None:
        for name in names:
            image = opened(table.parent / name)
            exif = image.getexif()
            exif[ORIENTATION] = 3
            image.save(table.parent / name, exif=exif)

    return spoil


def of_two_pages(name: str) -> Callable[[Path], None]:
    """Make a TIFF file of it, with a second page."""

    def spoil(table: Path) -> None:
        image = opened(table.parent / name)
        image.save(table.parent / name, format="TIFF", save_all=True, append_images=[image])

    return spoil


def in_bits(bits: int) -> Callable[[Path], None]:
    """Make a photograph of 16 bits of it, of which so many are used."""

    def spoil(table: Path) -> None:
        levels = np.asarray(opened(table.parent / PHOTOGRAPH).convert("L")).astype(np.uint16) * 2 ** (bits - 8)
        Image.fromarray(levels).save(table.parent / PHOTOGRAPH, format="PNG")

    return spoil


def a_copy(table: Path) -> None:
    (table.parent / MASK).write_bytes((table.parent / PHOTOGRAPH).read_bytes())


def another_type(table: Path) -> None:
    """Name one photograph a second time, as Free."""
    image = opened(table.parent / PHOTOGRAPH)
    image.save(table.parent / "Free/9.png")
    change_row(table, 26, image="Free/9.png")


def no_free_image(table: Path) -> None:
    lines = table.read_text(encoding="utf-8").splitlines()
    table.write_text("\n".join(line for line in lines if not line.startswith("Free")), encoding="utf-8")


def a_defect_on_free(table: Path) -> None:
    change_row(table, 26, image=PHOTOGRAPH, mask=MASK, type="Free")


FAULTS = {
    "nothing bright": (redrawn(painted(100)), r"no pixel brighter than 127 \(data_load\.mask_above\), its bright"),
    "class numbers": (redrawn(grey), r"its brightest has 1: .*; if its values are class numbers, set .*above to 0"),
    "another size": (redrawn(painted(255, (7, 5))), r"the mask has \(7, 5\) pixels, but its image has .*: draw it on"),
    "a defect on a Free image": (a_defect_on_free, r"the mask has a pixel brighter .* but its image is called Free:"),
    "white in transparency": (redrawn(transparent(255)), r"shape is in its transparency, .*magick .* -alpha extract"),
    "black in transparency": (redrawn(transparent(0)), r"shape is in its transparency, .*magick .* -alpha extract"),
    "a palette's transparency": (redrawn(in_a_palette), r"shape is in its transparency, .*magick .* -alpha extract"),
    "inverted": (redrawn(lambda mask: grey(~mask * 255)), r"looks inverted, 9\d% of it is defective.* -negate"),
    "turned": (turned(PHOTOGRAPH), r"0-0\.jpg: its EXIF orientation is not .*-auto-orient.*exiftool -Orient"),
    "turned mask": (turned(MASK), r"0-0\.mask\.png: its EXIF orientation is not applied"),
    "12 bits": (in_bits(12), r"Dent/0-0\.jpg: the highest of the 16-bit values is \d+, .*: scale the"),
    "a copy of the photograph": (a_copy, r"the mask is a copy of the photograph: draw a mask, white where"),
    "two types of one photograph": (another_type, r"0-0\.jpg and Free/9\.png are the same photograph with diff"),
    "no Free image": (no_free_image, "no image is Free: add images without a defect"),
}  # fmt: skip


@pytest.mark.parametrize(("spoil", "words"), FAULTS.values(), ids=FAULTS)
def test_wrong_truth_is_refused(table: Path, tmp_path: Path, spoil: Callable[[Path], None], words: str) -> None:
    spoil(table)
    refuse_load(table, tmp_path / "tiles", words)


def test_a_photograph_that_is_too_large_names_the_parameter(table: Path, tmp_path: Path) -> None:
    Image.new("L", (3000, 2000)).save(table.parent / PHOTOGRAPH)
    with pytest.raises(DatasetError, match=r"0-0\.jpg: the image has 3000 x 2000 .*, or raise data_load\.max_pixels"):
        load(table, tmp_path / "tiles")


def upper_half(mask: np.ndarray) -> Image.Image:
    return grey(255 * (np.arange(len(mask))[:, None] < 0.75 * len(mask)) * np.ones(mask.shape))


def partly_grey(mask: np.ndarray) -> Image.Image:
    return grey(np.where(mask, 255, 75))


def class_number_in_a_border(mask: np.ndarray) -> Image.Image:
    rows = np.arange(len(mask))[:, None]
    return grey(np.where(mask & (rows == np.flatnonzero(mask.any(axis=1))[0]), 255, mask))


def of_another_photograph(table: Path) -> None:
    change_row(table, 4, image="Dent/9.png")
    image = np.asarray(opened(table.parent / PHOTOGRAPH).convert("L"))
    grey(image.clip(5, 255) - 5).save(table.parent / "Dent/9.png")
    (table.parent / "Dent/1-0.mask.png").write_bytes((table.parent / MASK).read_bytes())


def named_twice(table: Path) -> None:
    opened(table.parent / "Free/0-0.jpg").save(table.parent / "Free/9.png")
    change_row(table, 28, image="Free/9.png")


WARNINGS = {
    "a photograph twice": (
        named_twice,
        r"Free/0-0\.jpg and Free/9\.png are the same photograph: keep one of the two rows",
    ),
    "most of the image": (
        redrawn(upper_half),
        r"Dent/0-0\.mask\.png: the mask covers 7\d% of the image: is white the defect",
    ),
    "grey": (
        redrawn(partly_grey),
        r"Dent/0-0\.mask\.png: \d+ pixels are grey and do not count, 256 are bright and do: lower",
    ),
    "a class number in a border": (
        redrawn(class_number_in_a_border),
        r"Dent/0-0\.mask\.png: 240 pixels are grey and do not count, 16 are bright and do: lower",
    ),
    "14 bits": (
        in_bits(14),
        r"Dent/0-0\.jpg: its brightest pixel has grey value \d\d of 255: is it so dark\? Scale 14-bit values by 4",
    ),
    "the mask of another": (
        of_another_photograph,
        r"^Dent/0-0\.mask\.png and Dent/1-0\.mask\.png are the same mask, but",
    ),
    "pages of a photograph": (
        of_two_pages(PHOTOGRAPH),
        r"Dent/0-0\.jpg: the file has several pages, and only the first",
    ),
    "pages of a mask": (of_two_pages(MASK), r"Dent/0-0\.mask\.png: the file has several pages, and only the first"),
    "a turned Free image": (turned("Free/0-0.jpg"), r"Free/0-0\.jpg: its EXIF orientation is not applied"),
}


@pytest.mark.parametrize(("spoil", "words"), WARNINGS.values(), ids=WARNINGS)
def test_what_a_person_must_judge_is_warned_of(
    table: Path, tmp_path: Path, spoil: Callable[[Path], None], words: str
) -> None:
    assert [] == load(table, tmp_path / "before")
    spoil(table)
    (warning,) = load(table, tmp_path / "tiles")
    assert re.search(words, warning), warning


def test_a_mask_and_its_photograph_may_be_turned_alike(table: Path, tmp_path: Path) -> None:
    turned(PHOTOGRAPH, MASK)(table)
    assert [] == load(table, tmp_path / "tiles")


def test_two_photographs_of_one_object_may_have_one_mask(table: Path, tmp_path: Path) -> None:
    of_another_photograph(table)
    change_row(table, 4, casting=rows_of(table)[0]["casting"])
    assert [] == load(table, tmp_path / "tiles")


def test_the_stage_prints_the_warnings(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    redrawn(upper_half)(table)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(data_load, "check_packages", dict)  # tested by itself
    params = params_with().model_copy(update={"data_load": params_of(table).model_copy(update={"digest": ""})})
    monkeypatch.setattr(data_load, "load_params", lambda: params)
    data_load.main()
    assert "warning: Dent/0-0.mask.png: the mask covers 7" in capsys.readouterr().out


def test_one_photograph_in_two_folds_is_refused(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    named_twice(table)
    load(table, tmp_path / "tiles")
    entries = read_index(tmp_path / "tiles/index.csv")
    folds, parts = dict.fromkeys((e.name for e in entries), 0), dict.fromkeys((e.name for e in entries), "train")
    refuse_shared_photographs(entries, folds, parts, tmp_path / "tiles")
    assert re.search(r"data_split: 100%.* 36/36 ", capsys.readouterr().err)  # large photographs take minutes
    for other_folds, other_parts in ((folds | {"Free-9": 2}, parts), (folds, parts | {"Free-9": "test"})):
        with pytest.raises(
            DatasetError, match=r"Free-0-0 in fold 0 and Free-9 in fold \d are the same photograph: remove"
        ):
            refuse_shared_photographs(entries, other_folds, other_parts, tmp_path / "tiles")


def test_the_stage_data_split_refuses_it(table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for line in (26, 28, 30):
        opened(table.parent / "Free/5-1.png").save(table.parent / f"Free/{line}.png")
        change_row(table, line, image=f"Free/{line}.png")
    load(table, tmp_path / "data/tiles", group=None)
    knobs = {"data_load__table": str(table), "data_load__types": [*TYPES], "data_split__folds": 3}
    write_knobs(tmp_path / "params.yaml", data_split__test_fold=1, **knobs)
    monkeypatch.setattr(data_split, "check_packages", dict)  # tested by itself
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DatasetError, match="are the same photograph: remove one of the two rows"):
        data_split.main()


def test_a_tiff_photograph_is_kept_as_it_is(table: Path, tmp_path: Path) -> None:
    opened(table.parent / "Free/0-0.jpg").save(table.parent / "Free/9.tif")
    change_row(table, 26, image="Free/9.tif")
    load(table, tmp_path / "tiles")
    assert (table.parent / "Free/9.tif").read_bytes() == (tmp_path / "tiles/images/Free-9.tif").read_bytes()
