"""CVAT's export "CVAT for images 1.1": XML files whose images have polygons, ellipses and masks."""

from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np

from training.errors import DatasetError
from training.own_data.found import Found, Notes, Photographs, files, from_labels, unless_unreadable
from training.own_data.outlines import ellipse, polygon, row_runs

ROOT_TAG = b"<annotations>"
HEAD = 1000  # bytes, in which the root tag is


def fits(folder: Path) -> bool:
    """Return whether an XML file of the folder begins as CVAT's do."""
    return any(_documents(folder))


def find(folder: Path, notes: Notes) -> Iterator[Found]:
    """Give every annotated photograph.

    Raises: DatasetError, when a file is damaged or the export of a video.
    """
    photographs = Photographs(folder, notes)
    images = [(document, image) for document in _documents(folder) for image in _images(document)]
    paths = photographs.match((image.attrib["name"], document) for document, image in images)
    for path, (_, image) in zip(paths, images, strict=True):
        if path:
            yield from unless_unreadable(_read(path, image, notes), path, notes)
    photographs.note_unused()


def _documents(folder: Path) -> Iterator[Path]:
    for path in files(folder):
        if path.suffix.lower() == ".xml":
            with path.open("rb") as file:
                if ROOT_TAG in file.read(HEAD):
                    yield path


def _images(document: Path) -> list[ET.Element]:
    try:
        images = ET.parse(document).getroot().findall("image")  # noqa: S314 - the user's own file
    except ET.ParseError as error:
        raise DatasetError(f"{document} cannot be read as XML ({error}): export it again, or delete it") from None
    if not images:
        raise DatasetError(f'{document} has no image: export the task as "CVAT for images 1.1"')
    return images


def _read(path: Path, image: ET.Element, notes: Notes) -> Iterator[Found]:
    height, width = int(image.attrib["height"]), int(image.attrib["width"])
    masks: dict[str, np.ndarray] = {}
    for shape in image:
        mask = _draw(shape, height, width)
        if mask is None:
            notes.skip(f"it has a shape of the kind {shape.tag}: use polygons, ellipses or masks", path.name)
            return
        label = shape.attrib["label"]
        masks[label] = masks[label] | mask if label in masks else mask
    yield from_labels(path, masks, notes)


def _draw(shape: ET.Element, height: int, width: int) -> np.ndarray | None:
    """Draw a shape; None if it has no inside."""
    given = shape.attrib
    if shape.tag == "polygon":
        return polygon([float(number) for number in given["points"].replace(";", ",").split(",")], height, width)
    if shape.tag == "ellipse":
        centre, radii = (float(given["cx"]), float(given["cy"])), (float(given["rx"]), float(given["ry"]))
        return ellipse(centre, radii, float(given.get("rotation", 0)), height, width)
    if shape.tag == "mask":
        top, left, rows, columns = (int(given[name]) for name in ("top", "left", "height", "width"))
        mask = np.zeros((height, width), bool)
        counts = [int(count) for count in given["rle"].split(",")]
        mask[top : top + rows, left : left + columns] = row_runs(counts, rows, columns)
        return mask
    return None
