"""Label Studio's export "JSON": a list of tasks, whose results are polygons, ellipses and strokes of a brush."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np

from training.own_data.found import Found, Notes, Photographs, from_labels, is_image, unless_unreadable
from training.own_data.json_files import json_files
from training.own_data.outlines import brush, ellipse, polygon

UPLOADED = re.compile(r"^[0-9a-f]{8}-")  # Label Studio puts it before the name of an uploaded file
UPLOADS = re.compile(r"^/data/upload/\d+/")  # where it keeps those of a project, which no other folder is called like
DRAWN = ("polygonlabels", "ellipselabels", "brushlabels")


def fits(folder: Path) -> bool:
    """Return whether a JSON file of the folder is a list of annotated tasks."""
    return bool(_tasks(folder))


def find(folder: Path, notes: Notes) -> Iterator[Found]:
    """Give every annotated photograph."""
    photographs = Photographs(folder, notes)
    there = {path.name.lower() for path in photographs.paths}
    tasks = _tasks(folder)
    for path, task in zip(photographs.match((_name_in(there, task), None) for task in tasks), tasks, strict=True):
        finished = [each for each in task["annotations"] if not each.get("was_cancelled")]
        if path:
            if len(finished) > 1:
                notes.decide("annotated several times: the last one counts", path.name)
            if finished:
                yield from unless_unreadable(_read(path, finished[-1]["result"], notes), path, notes)
            else:
                notes.skip("not annotated in Label Studio", path.name)
    photographs.note_unused()


def _tasks(folder: Path) -> list[Any]:
    lists = [each for each in json_files(folder).values() if isinstance(each, list)]
    return [
        task for each in lists for task in each if isinstance(task, dict) and task.keys() >= {"data", "annotations"}
    ]


def _name_in(there: set[str], task: Any) -> str:
    """Return the photograph's path; without what Label Studio put before its name, unless a file is called so."""
    name = Path(UPLOADS.sub("", _name_of(task)))
    return str(name if name.name.lower() in there else name.with_name(UPLOADED.sub("", name.name)))


def _name_of(task: Any) -> str:
    """Return the photograph's path as Label Studio knows it: a path, an address (with a query), or one after `?d=`."""
    paths = [unquote(str(value)).rpartition("?d=")[2].partition("?")[0] for value in task["data"].values()]
    return next((path for path in paths if is_image(Path(path))), "a task without a photograph")


def _read(path: Path, results: list[Any], notes: Notes) -> Iterator[Found]:
    masks: dict[str, np.ndarray] = {}
    for result in results:
        value, kind = result.get("value"), result["type"]
        if value is None or kind in {"choices", "textarea", "rating"}:  # a relation of two shapes has no value
            continue
        if kind not in DRAWN or not value.get(kind):
            notes.skip(f"it has a shape of the kind {kind}: use polygons, ellipses or a brush, with labels", path.name)
            return
        if result.get("image_rotation"):
            notes.skip("it was turned in Label Studio: turn the photograph's pixels, and label it again", path.name)
            return
        label, mask = str(value[kind][0]), _draw(kind, value, result["original_height"], result["original_width"])
        masks[label] = masks[label] | mask if label in masks else mask
    yield from_labels(path, masks, notes)


def _draw(kind: str, value: Any, height: int, width: int) -> np.ndarray:
    """Draw a shape; its coordinates are percentages of the photograph's sides."""
    if kind == "brushlabels":
        return brush(value["rle"], height, width)
    if kind == "ellipselabels":
        centre = value["x"] * width / 100, value["y"] * height / 100
        radii = value["radiusX"] * width / 100, value["radiusY"] * height / 100
        return ellipse(centre, radii, value.get("rotation", 0), height, width)
    points = [(x * width / 100, y * height / 100) for x, y in value["points"]]
    return polygon([number for point in points for number in point], height, width)
