"""Which layouts are read, and which one a folder has."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from training.own_data import coco, cvat, folders, label_studio, labelme, mvtec, voc
from training.own_data.found import Found, Notes


class Layout(NamedTuple):
    """A layout: its name in words, whether a folder has it, and its reader."""

    words: str
    fits: Callable[[Path], bool]
    find: Callable[[Path, Notes], Iterator[Found]]


LAYOUTS = {  # the first that fits is taken: folders fit always
    "mvtec": Layout("MVTec AD: train/good, test, ground_truth", mvtec.fits, mvtec.find),
    "voc": Layout("PASCAL VOC: JPEGImages, SegmentationClass", voc.fits, voc.find),
    "coco": Layout("COCO JSON", coco.fits, coco.find),
    "label-studio": Layout("Label Studio JSON", label_studio.fits, label_studio.find),
    "labelme": Layout("labelme JSON", labelme.fits, labelme.find),
    "cvat": Layout("CVAT for images", cvat.fits, cvat.find),
    "folders": Layout("photographs and masks in folders", folders.fits, folders.find),
}


def fitting(folder: Path) -> list[str]:
    """Return the names of the layouts that the folder may have, the likeliest first."""
    return [name for name, layout in LAYOUTS.items() if layout.fits(folder)]
