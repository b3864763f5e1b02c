"""PASCAL VOC: JPEGImages/, and masks with a number or a colour for each class in SegmentationClass/.

labelmap.txt (CVAT) or class_names.txt (labelme) names the classes.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from training.own_data.found import BACKGROUND, Found, Notes, Photographs, files, from_labels, is_image

IMAGES = "JPEGImages"
MASKS = ("SegmentationClassPNG", "SegmentationClass")  # of labelme, of VOC and CVAT
VOID = 255  # the number of a border, which is of no class


def fits(folder: Path) -> bool:
    """Return whether the folder has VOC's folders."""
    return (folder / IMAGES).is_dir() and _masks(folder) is not None


def find(folder: Path, notes: Notes) -> Iterator[Found]:
    """Give every photograph that has a mask."""
    root = _masks(folder)
    masks = {path.relative_to(root).with_suffix(""): path for path in files(root) if is_image(path)} if root else {}
    colours, numbers = _colours(folder / "labelmap.txt"), _numbers(folder / "class_names.txt")
    if not colours and not numbers:
        notes.decide(
            "no labelmap.txt or class_names.txt names the classes: they are called Class 1, Class 2, …", folder
        )
    for path in Photographs(folder / IMAGES, notes).paths:
        key = path.relative_to(folder / IMAGES).with_suffix("")
        if key not in masks:
            notes.skip(f"no mask in {MASKS[-1]}", path.name)
            continue
        try:
            with Image.open(masks.pop(key)) as mask:
                labels = _by_colour(mask, colours) if colours else _by_number(mask, numbers)
        except (OSError, SyntaxError, ValueError, UnidentifiedImageError) as error:  # the second: a broken PNG chunk
            notes.skip(f"its mask cannot be read: {error}", path.name)
            continue
        yield from_labels(path, labels, notes)
    for path in masks.values():
        notes.skip("a mask without a photograph", path.name)


def _masks(folder: Path) -> Path | None:
    return next((folder / name for name in MASKS if (folder / name).is_dir()), None)


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8-sig").splitlines() if path.is_file() else []


def _colours(labelmap: Path) -> dict[tuple[int, ...], str]:
    """Read lines like `Dent:250,50,83::` as {colour: name}."""
    fields = [line.split(":") for line in _lines(labelmap) if ":" in line and not line.startswith("#")]
    return {tuple(map(int, colour.split(","))): name for name, colour, *_ in fields}


def _numbers(class_names: Path) -> dict[int, str]:
    """Read a line for each class as {number: name}; labelme's first line is for -1."""
    names = _lines(class_names)
    return dict(enumerate(names, -1 if names[:1] == ["__ignore__"] else 0))


def _by_colour(mask: Image.Image, colours: dict[tuple[int, ...], str]) -> dict[str, np.ndarray]:
    pixels = np.asarray(mask.convert("RGB"))
    labels = {name: (pixels == colour).all(axis=2) for colour, name in colours.items()}
    unknown = ~np.any(list(labels.values()), axis=0)
    if unknown.any():
        colour = ",".join(map(str, pixels[unknown][0]))
        raise ValueError(f"labelmap.txt has no colour {colour}: add a line for it")
    return {name: found for name, found in labels.items() if found.any() and name not in BACKGROUND}


def _by_number(mask: Image.Image, numbers: dict[int, str]) -> dict[str, np.ndarray]:
    if mask.mode not in {"P", "L"}:
        raise ValueError(f"its pixels are of mode {mask.mode}: add a labelmap.txt that names the colours")
    pixels = np.asarray(mask)
    named = {int(number): numbers.get(int(number), f"Class {number}") for number in np.unique(pixels)}
    if VOID in named and named.keys() <= {0, VOID}:
        raise ValueError(f"its only number is {VOID}, which is a border's: number the classes from 1 on")
    return {name: pixels == k for k, name in named.items() if k not in {0, VOID} and name not in BACKGROUND}
