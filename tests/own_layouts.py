"""Three photographs of castings, laid out as people and labelling tools do: one truth in many files."""

import base64
import io
import json
from collections.abc import Callable
from itertools import groupby
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
from PIL import Image
from pycocotools import mask as coco

HEIGHT, WIDTH = 40, 50
SQUARES = {"Dent": (5, 8, 21, 28), "Rust spot": (12, 4, 30, 20)}  # left, top, right, bottom
NAMES = {"Dent": "1.JPG", "Rust spot": "2.jpeg", "Free": "3.PNG"}
COLOURS = {"background": (0, 0, 0), "Dent": (250, 50, 83), "Rust spot": (0, 90, 200)}


def mask_of(defect_type: str) -> np.ndarray:
    mask = np.zeros((HEIGHT, WIDTH), bool)
    if defect_type in SQUARES:
        left, top, right, bottom = SQUARES[defect_type]
        mask[top:bottom, left:right] = True
    return mask


def corners(defect_type: str) -> list[tuple[int, int]]:
    left, top, right, bottom = SQUARES[defect_type]
    return [(left, top), (right, top), (right, bottom), (left, bottom)]


def write_photograph(path: Path, defect_type: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    grey = np.random.default_rng(len(defect_type)).integers(90, 110, (HEIGHT, WIDTH), np.uint8)
    grey[mask_of(defect_type)] = 10
    Image.fromarray(grey).save(path, format="PNG" if path.suffix.lower() == ".png" else "JPEG")


def write_mask(path: Path, defect_type: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(mask_of(defect_type).astype(np.uint8) * 255).save(path)


def in_folders(image: str, mask: str) -> Callable[[Path], None]:
    """Lay files out by patterns of the type, the file's name and its stem."""

    def write(folder: Path) -> None:
        for defect_type, name in NAMES.items():
            words = {"type": defect_type, "name": name, "stem": Path(name).stem}
            write_photograph(folder / image.format(**words), defect_type)
            if defect_type != "Free":
                write_mask(folder / mask.format(**words), defect_type)

    return write


def mvtec(folder: Path) -> None:
    write_photograph(folder / "train/good/000.png", "Free")
    for defect_type in SQUARES:
        write_photograph(folder / f"test/{defect_type}/000.png", defect_type)
        write_mask(folder / f"ground_truth/{defect_type}/000_mask.png", defect_type)


def photographs(folder: Path) -> None:
    for defect_type, name in NAMES.items():
        write_photograph(folder / name, defect_type)


def voc(folder: Path, *, coloured: bool) -> None:
    photographs(folder / "JPEGImages")
    (folder / "SegmentationClass").mkdir()
    for defect_type, name in NAMES.items():
        numbers = mask_of(defect_type).astype(np.uint8) * (1 + list(NAMES).index(defect_type))
        mask = Image.fromarray(numbers)
        if coloured:
            mask = Image.fromarray(np.array([*COLOURS.values(), (0, 0, 0)], np.uint8)[numbers])
        mask.save(folder / f"SegmentationClass/{Path(name).stem}.png")
    lines = [f"{name}:{','.join(map(str, colour))}::" for name, colour in COLOURS.items()]
    if coloured:
        (folder / "labelmap.txt").write_text("\n".join(["# label:color_rgb:parts:actions", *lines]), encoding="utf-8")
    else:
        names = ["__ignore__", "_background_", *SQUARES]
        (folder / "class_names.txt").write_text("\n".join(names), encoding="utf-8")


def polygons(defect_type: str) -> list[list[int]]:
    return [[number for corner in corners(defect_type) for number in corner]]


def compressed(defect_type: str) -> dict:
    runs = coco.encode(np.asfortranarray(mask_of(defect_type).astype(np.uint8)))
    return {"size": runs["size"], "counts": runs["counts"].decode()}


def lengths(mask: np.ndarray) -> list[int]:
    """Run lengths in the order of the pixels, of background first."""
    runs = [(value, len(list(run))) for value, run in groupby(mask.ravel())]
    return [*([0] if runs[0][0] else []), *(length for _, length in runs)]


def uncompressed(defect_type: str) -> dict:
    return {"size": [HEIGHT, WIDTH], "counts": lengths(mask_of(defect_type).T)}


def coco_json(folder: Path, outline: Callable[[str], object] = polygons) -> None:
    photographs(folder / "images")
    size = {"height": HEIGHT, "width": WIDTH}
    images = [{"id": number, "file_name": name, **size} for number, name in enumerate(NAMES.values())]
    categories = [{"id": 10 + number, "name": name} for number, name in enumerate(SQUARES)]
    annotations = [
        {
            "id": number,
            "image_id": number,
            "category_id": 10 + number,
            "segmentation": outline(name),
            "bbox": [1, 2, 3, 4],
        }
        for number, name in enumerate(SQUARES)
    ]
    write_json(folder / "annotations/instances.json", images=images, categories=categories, annotations=annotations)


def write_json(path: Path, **content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")


def brushed(mask: np.ndarray) -> list[int]:
    """Pack a stroke as Label Studio does, in runs of at most 65,536 bytes."""
    numbers = [(mask.size * 4, 32), (7, 5), (2, 4), (3, 4), (7, 4), (15, 4)]
    for value, run in groupby(np.repeat(mask.ravel(), 4)):
        numbers += [(1, 1), (3, 2), (len(list(run)) - 1, 16), (255 * int(value), 8)]
    bits = "".join(f"{number:0{size}b}" for number, size in numbers)
    bits += "0" * (-len(bits) % 8)
    return [int(bits[at : at + 8], 2) for at in range(0, len(bits), 8)]


def label_studio(folder: Path, *, brush: bool) -> None:
    tasks = []
    for defect_type, name in NAMES.items():
        write_photograph(folder / name, defect_type)
        results = [labelled(defect_type, brush=brush)] if defect_type in SQUARES else []
        data = {"image": f"/data/upload/1/3f2a1b4c-{name}" if brush else f"/data/local-files/?d=castings/{name}"}
        tasks.append({"data": data, "annotations": [{"result": results, "was_cancelled": False}], "predictions": []})
    (folder / "project-1.json").write_text(json.dumps(tasks), encoding="utf-8")


def labelled(defect_type: str, *, brush: bool) -> dict:
    value = {"points": [[100 * x / WIDTH, 100 * y / HEIGHT] for x, y in corners(defect_type)]}
    if brush:
        value = {"format": "rle", "rle": brushed(mask_of(defect_type))}
    kind = "brushlabels" if brush else "polygonlabels"
    return {"type": kind, "original_width": WIDTH, "original_height": HEIGHT, "value": {**value, kind: [defect_type]}}


def labelme(folder: Path, *, masks: bool) -> None:
    """As labelme 5 saves them: it writes no file for a photograph without a shape."""
    for defect_type, name in NAMES.items():
        path = folder / ("photos" if defect_type in SQUARES else "good") / name
        write_photograph(path, defect_type)
        if defect_type in SQUARES:
            shape = masked(defect_type) if masks else {"shape_type": "polygon", "points": corners(defect_type)}
            write_json(
                path.with_suffix(".json"), version="5.5.0", flags={}, shapes=[{"label": defect_type, **shape}],
                imagePath=name, imageData=None, imageHeight=HEIGHT, imageWidth=WIDTH,
            )  # fmt: skip


def masked(defect_type: str) -> dict:
    """A shape of labelme's kind mask: the box, whose last row and column belong to it, and its pixels as PNG."""
    left, top, right, bottom = SQUARES[defect_type]
    png = io.BytesIO()
    Image.fromarray(mask_of(defect_type)[top:bottom, left:right]).save(png, format="PNG")
    box = [[left, top], [right - 1, bottom - 1]]
    return {"shape_type": "mask", "points": box, "mask": base64.b64encode(png.getvalue()).decode()}


def cvat(folder: Path, *, masks: bool) -> None:
    photographs(folder / "images")
    root = ET.Element("annotations")
    for number, (defect_type, name) in enumerate(NAMES.items()):
        size = {"width": str(WIDTH), "height": str(HEIGHT)}
        image = ET.SubElement(root, "image", id=str(number), name=name, **size)
        if defect_type in SQUARES and not masks:
            points = ";".join(f"{x}.0,{y}.0" for x, y in corners(defect_type))
            ET.SubElement(image, "polygon", label=defect_type, points=points)
        elif defect_type in SQUARES:
            left, top, right, bottom = SQUARES[defect_type]
            box = {"left": left, "top": top, "width": right - left, "height": bottom - top}
            runs = ", ".join(map(str, lengths(mask_of(defect_type)[top:bottom, left:right])))
            ET.SubElement(image, "mask", {"label": defect_type, "rle": runs, **{k: str(v) for k, v in box.items()}})
    ET.ElementTree(root).write(folder / "annotations.xml", encoding="utf-8", xml_declaration=True)
