"""labelme: a JSON file beside each photograph, whose shapes are polygons, circles and masks.

labelme saves no file for a photograph without a shape, so a folder says which of them have no defect.
"""

import base64
import io
from collections.abc import Iterator
from math import dist
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from training.dataset.index import FREE
from training.own_data.found import BACKGROUND, Found, Notes, Photographs, from_labels, type_name, unless_unreadable
from training.own_data.json_files import documents
from training.own_data.outlines import ellipse, polygon

KEYS = {"shapes", "imagePath", "imageHeight", "imageWidth"}


def fits(folder: Path) -> bool:
    """Return whether a JSON file of the folder has labelme's keys."""
    return bool(documents(folder, KEYS))


def find(folder: Path, notes: Notes) -> Iterator[Found]:
    """Give every photograph that has a file, and those of a folder for photographs without a defect."""
    photographs = Photographs(folder, notes)
    labelled = documents(folder, KEYS)
    paths = photographs.match((document["imagePath"], file) for file, document in labelled.items())
    for path, document in zip(paths, labelled.values(), strict=True):
        if path:
            yield from unless_unreadable(_read(path, document, notes), path, notes)
    for path in photographs.unused():
        if any(type_name(part) == FREE for part in path.relative_to(folder).parts[:-1]):
            yield Found(path, FREE)
        else:
            name = path.relative_to(folder).as_posix()
            notes.skip(f"no JSON file is about it: label it, or move it to a folder {FREE} if it has no defect", name)


def _read(path: Path, document: Any, notes: Notes) -> Iterator[Found]:
    masks: dict[str, np.ndarray] = {}
    for shape in (each for each in document["shapes"] if each["label"] not in BACKGROUND):
        mask = _draw(shape, document["imageHeight"], document["imageWidth"])
        if mask is None:
            kind = shape["shape_type"]
            notes.skip(f"it has a shape of the kind {kind}: use polygons, circles or masks", path.name)
            return
        label = str(shape["label"])
        masks[label] = masks[label] | mask if label in masks else mask
    yield from_labels(path, masks, notes)


def _draw(shape: Any, height: int, width: int) -> np.ndarray | None:
    """Draw a shape; None if it has no inside, or is a box."""
    points = shape["points"]
    if shape["shape_type"] == "polygon":
        return polygon([number for point in points for number in point], height, width)
    if shape["shape_type"] == "circle":
        centre, edge = points
        radius = dist(centre, edge)
        return ellipse((centre[0], centre[1]), (radius, radius), 0, height, width)
    if shape["shape_type"] == "mask":
        inside = _unpacked(shape["mask"])
        left, top = (round(number) for number in points[0])
        mask = np.zeros((height, width), bool)
        mask[top : top + inside.shape[0], left : left + inside.shape[1]] = inside
        return mask
    return None


def _unpacked(mask: str) -> np.ndarray:
    try:
        with Image.open(io.BytesIO(base64.b64decode(mask))) as png:
            return np.asarray(png.convert("L")) > 0
    except (OSError, SyntaxError):  # the second: a broken PNG chunk
        raise ValueError("its mask is damaged") from None
