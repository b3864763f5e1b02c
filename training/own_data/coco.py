"""COCO: JSON files with images, categories and annotations, whose outlines are polygons or run lengths."""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from training.own_data.found import Found, Notes, Photographs, from_labels, unless_unreadable
from training.own_data.json_files import documents
from training.own_data.outlines import coco_runs, polygon

KEYS = {"images", "annotations", "categories"}


def fits(folder: Path) -> bool:
    """Return whether a JSON file of the folder has COCO's keys."""
    return bool(documents(folder, KEYS))


def find(folder: Path, notes: Notes) -> Iterator[Found]:
    """Give every annotated photograph."""
    photographs = Photographs(folder, notes)
    named: list[tuple[str, Path]] = []
    images: list[tuple[Any, list[Any], dict[Any, str]]] = []
    for file, document in documents(folder, KEYS).items():
        names = {category["id"]: str(category["name"]) for category in document["categories"]}
        annotations: dict[Any, list[Any]] = defaultdict(list)
        for annotation in document["annotations"]:
            annotations[annotation["image_id"]].append(annotation)
        named += [(image["file_name"], file) for image in document["images"]]
        images += [(image, annotations[image["id"]], names) for image in document["images"]]
    for path, (image, annotated, names) in zip(photographs.match(named), images, strict=True):
        if path:
            yield from unless_unreadable(_read(path, image, annotated, names, notes), path, notes)
    photographs.note_unused()


def _read(path: Path, image: Any, annotations: list[Any], names: dict[Any, str], notes: Notes) -> Iterator[Found]:
    height, width = image["height"], image["width"]
    masks: dict[str, np.ndarray] = {}
    for annotation in annotations:
        outline = annotation.get("segmentation")
        if not outline:
            notes.skip("it has a box and no outline: draw polygons or masks", path.name)
            return
        label = names[annotation["category_id"]]
        if isinstance(outline, dict):
            drawn = [coco_runs(outline, height, width)]
        elif _is_relative(outline):
            notes.skip("its outlines are in shares of width and height: write them in pixels", path.name)
            return
        else:
            drawn = [polygon(points, height, width) for points in outline]
        masks[label] = np.any([*drawn, *([masks[label]] if label in masks else [])], axis=0)
    yield from_labels(path, masks, notes)


def _is_relative(outline: list[list[float]]) -> bool:
    """Return whether polygons have no point beyond the first pixel: then their coordinates are no pixels."""
    return any(outline) and all(number <= 1 for points in outline for number in points)
