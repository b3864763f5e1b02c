"""Which photograph a name in annotations means. A case: files, names with their annotations' file, what each gets."""

from pathlib import Path

import pytest

from training.own_data.found import Notes, Photographs
from training.own_data.matching import MISSING, SECOND, SEVERAL_FILES, SEVERAL_NAMES

CASES = {
    "in their folders": (
        ["a/1.png", "b/1.png"], [("a/1.png", "x.json"), ("b/1.png", "x.json")], ["a/1.png", "b/1.png"],
    ),
    "one is missing": (["b/1.png"], [("a/1.png", "x.json"), ("b/1.png", "x.json")], [MISSING, "b/1.png"]),
    "one is missing, deeper": (
        ["b/images/1.png"], [("a/images/1.png", None), ("b/images/1.png", None)], [MISSING, "b/images/1.png"],
    ),
    "one is missing, and a folder beside has one of its name": (
        ["a/images/2.png", "b/images/1.png"], [("a/images/1.png", "x.json"), ("a/images/2.png", "x.json")],
        [MISSING, "a/images/2.png"],
    ),
    "paths of another machine": (
        ["a/images/1.png", "b/images/1.png"], [("/home/images/a/images/1.png", None), ("D:\\b\\images\\1.png", None)],
        ["a/images/1.png", "b/images/1.png"],
    ),
    "a folder that is twice in a name": (["scans/1.png"], [("/mnt/scans/scans/1.png", None)], ["scans/1.png"]),
    "a bare name and one with its folder": (
        ["images/1.png"], [("1.png", "x.json"), ("images/1.png", "x.json")], [MISSING, "images/1.png"],
    ),
    "a bare name beside one that is deeper": (
        ["images/1.png", "images/sub/1.png"], [("1.png", "j/x.json"), ("sub/1.png", "j/x.json")],
        ["images/1.png", "images/sub/1.png"],
    ),
    "two uploads of one name": (["t/1.png"], [("1.png", None), ("1.png", None)], [SEVERAL_NAMES] * 2),
    "two documents, one file": (["t/1.png"], [("1.png", "a/x.xml"), ("1.png", "b/x.xml")], [SEVERAL_NAMES] * 2),
    "one document, twice": (["t/1.png"], [("1.png", "a/x.json"), ("1.png", "a/x.json")], ["t/1.png", SECOND]),
    "two documents, a folder each": (
        ["a/images/1.png", "b/images/1.png"], [("1.png", "a/x.json"), ("1.png", "b/x.json")],
        ["a/images/1.png", "b/images/1.png"],
    ),
    "several files": (["a/1.png", "b/1.png"], [("1.png", "x.json")], [SEVERAL_FILES]),
    "an image beside the annotations that they don't name": (
        ["overview.png", "images/1.png"], [("1.png", "x.json")], ["images/1.png"],
    ),
    "labelme, the photograph is missing": (
        ["good/1.png", "bad/2.png"], [("1.png", "bad/1.json"), ("2.png", "bad/2.json")], [MISSING, "bad/2.png"],
    ),
    "labelme, moved with its file": (
        ["p/1.png", "q/1.png"], [("..\\raw\\1.png", "p/1.json"), ("..\\raw\\1.png", "q/1.json")],
        ["p/1.png", "q/1.png"],
    ),
    "labelme, in a folder beside": (["raw/1.png"], [("..\\raw\\1.png", "json/1.json")], ["raw/1.png"]),
    "all moved": (
        ["x/1.png", "x/2.png"], [("C:\\job\\1.png", "a/x.json"), ("C:\\job\\2.png", "a/x.json")],
        ["x/1.png", "x/2.png"],
    ),
    "not all moved": (["x/1.png", "y/2.png"], [("z/1.png", None), ("y/2.png", None)], [MISSING, "y/2.png"]),
    "other cases": (["A/1.PNG"], [("a/1.png", None)], ["A/1.PNG"]),
    "nothing": (["1.png"], [("", None), ("2.png", None)], [MISSING, MISSING]),
}  # fmt: skip


@pytest.mark.parametrize(("files", "names", "expected"), CASES.values(), ids=CASES)
def test_a_name_takes_the_photograph_that_it_means_and_no_other(
    tmp_path: Path, files: list[str], names: list[tuple[str, str | None]], expected: list[str]
) -> None:
    for file in files:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    notes = Notes()
    photographs = Photographs(tmp_path, notes)

    found = photographs.match((name, file and tmp_path / file) for name, file in names)

    assert [path and path.relative_to(tmp_path).as_posix() for path in found] == [
        each if each in files else None for each in expected
    ]
    refused = [why for why, skipped in notes.skipped.items() for _ in skipped]
    assert sorted(each for each in expected if each not in files) == sorted(refused)
    assert {tmp_path / file for file in files} - set(found) == set(photographs.unused())


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("job/1.png", ["job/1.png"]),
        ("job/images/1.png", ["job/images/1.png"]),
        ("/job/x/images/1.png", []),
        ("images/1.png", []),
    ],
)
def test_photographs_in_another_folder_than_their_names_say_are_told(
    tmp_path: Path, name: str, told: list[str]
) -> None:
    (tmp_path / "x/images").mkdir(parents=True)
    (tmp_path / "x/images/1.png").touch()
    notes = Notes()
    assert [tmp_path / "x/images/1.png"] == Photographs(tmp_path, notes).match([(name, None)])
    words = "in another folder than the annotations say: are these the same photographs? See table.png"
    assert ({words: told} if told else {}) == notes.decided
