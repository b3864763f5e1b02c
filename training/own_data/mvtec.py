"""MVTec AD: train/good, test/<type> and ground_truth/<type>, whose masks are called <name>_mask."""

from collections.abc import Iterator
from pathlib import Path

from training.dataset.index import FREE
from training.own_data.found import Found, Notes, Photographs, files, is_image, type_name

TRUTH = "ground_truth"


def fits(folder: Path) -> bool:
    """Return whether the folder has the folders of one object of MVTec AD."""
    return (folder / "test").is_dir() and (folder / TRUTH).is_dir()


def find(folder: Path, notes: Notes) -> Iterator[Found]:
    """Give every photograph."""
    masks = {
        (path.parent.name, path.stem.removesuffix("_mask")): path for path in files(folder / TRUTH) if is_image(path)
    }
    for path in Photographs(folder, notes).paths:
        if TRUTH in path.relative_to(folder).parts:
            continue
        defect_type = path.parent.name
        if type_name(defect_type) == FREE:
            yield Found(path, FREE)
        elif mask := masks.pop((defect_type, path.stem), None):
            yield Found(path, defect_type, mask)
        else:
            notes.skip(f"no mask in {TRUTH}/{defect_type}", path.relative_to(folder).as_posix())
    for path in masks.values():
        notes.skip("a mask without a photograph", path.relative_to(folder).as_posix())
