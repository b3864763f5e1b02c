"""COCO: JSON files with images, categories and annotations, whose outlines are polygons or run lengths."""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from training.own_data.found import Found, Notes, Photographs, from_labels
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
            yield from _read(path, image, annotated, names, notes)
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
        drawn = [coco_runs(outline, height, width)] if isinstance(outline, dict) else []
        drawn = drawn or [polygon(points, height, width) for points in outline]
        masks[label] = np.any([*drawn, *([masks[label]] if label in masks else [])], axis=0)
    yield from_labels(path, masks, notes)
