"""Folders: a folder for each type, or one for all; masks beside their photographs or in a tree of their own.

Dent/1.jpg  Dent/1.mask.png        images/Dent/1.jpg  masks/Dent/1.png        Dent/images/1.jpg  Dent/masks/1_mask.png
MT_Crack/Imgs/1.jpg  MT_Crack/Imgs/1.png        images/1.jpg  masks/1.png
"""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from training.dataset.index import FREE
from training.errors import DatasetError
from training.own_data.found import Found, Notes, Photographs, type_name

MASK_FOLDERS = re.compile(r"^(masks?|ground[ _-]?truth|gt|labels?|annotations?|seg(mentations?)?)$", re.IGNORECASE)
IMAGE_FOLDERS = re.compile(r"^(images?|imgs?|photo(graph)?s?)$", re.IGNORECASE)
PARTS = re.compile(r"^(train(ing)?|val(id(ation)?)?|test(ing)?)$", re.IGNORECASE)  # a split of somebody else's
MARK = re.compile(r"[._ -](masks?|gt|ground[_-]?truth|labels?|seg)$", re.IGNORECASE)  # at the end of a mask's name
JPEG = (".jpg", ".jpeg", ".jpe", ".jfif")
SHOWN = 3  # names of files in an error


class Key(NamedTuple):
    """What a photograph and its mask have in common: folders and name, without the words that tell them apart."""

    folders: tuple[str, ...]
    name: str


def fits(folder: Path) -> bool:
    """Return True: any folder may be one."""
    return folder.is_dir()


def find(folder: Path, notes: Notes) -> Iterator[Found]:
    """Give every photograph.

    Raises: DatasetError, when there is no photograph, or none has a mask.
    """
    images: dict[Key, list[Path]] = defaultdict(list)
    masks: dict[Key, list[Path]] = defaultdict(list)
    for path in Photographs(folder, notes).paths:
        key, is_mask = _key(path.relative_to(folder))
        (masks if is_mask else images)[key].append(path)
    _separate_pairs(images, masks)
    if not images and not masks:
        raise DatasetError(f"{folder} has no JPEG, PNG, TIFF or BMP file: name the folder of your photographs")
    if not masks:
        raise DatasetError(
            f"{folder}: no photograph has a mask: put it beside the photograph as <name>.mask.png, or into a folder "
            "masks with the same folders; export annotations as COCO"
        )
    has_types = any(_type_of(key) for key in images)
    if not has_types:
        _refuse_unpaired(folder, images, masks)
    for key, paths in images.items():
        name = paths[0].relative_to(folder).as_posix()
        found = masks.pop(key, [])
        if has_types and not _type_of(key):
            notes.skip("in no folder of a type, as others are: move it", name)
        elif len(paths) > 1 or len(found) > 1:
            notes.skip("several photographs or masks of one name: rename them", name)
        elif (result := _found(paths[0], _type_of(key), found)) is None:
            notes.skip(f"it has no mask: draw one, or move it to a folder {FREE}", name)
        else:
            yield result
    for path in (path for paths in masks.values() for path in paths):
        notes.skip("a mask without a photograph", path.relative_to(folder).as_posix())


def _refuse_unpaired(folder: Path, images: dict[Key, list[Path]], masks: dict[Key, list[Path]]) -> None:
    """Refuse photographs without a mask, which would count as Free, beside masks that may be theirs.

    Raises: DatasetError.
    """
    unmasked = [path for key, paths in images.items() if key not in masks for path in paths]
    unused = [path for key, paths in masks.items() if key not in images for path in paths]
    if unmasked and unused:
        raise DatasetError(
            f"{folder}: some photographs have no mask ({_names(unmasked, folder)}), and some masks have no photograph "
            f"({_names(unused, folder)}): give each mask its photograph's name, in the same case; delete a mask that "
            "belongs to none"
        )


def _names(paths: Sequence[Path], folder: Path) -> str:
    names = [path.relative_to(folder).as_posix() for path in paths]
    return ", ".join([*names[:SHOWN], *(["…"] if len(names) > SHOWN else [])])


def _key(path: Path) -> tuple[Key, bool]:
    """Return what a file has in common with its partner, and whether its name or a folder says that it is a mask."""
    path = Path(unicodedata.normalize("NFC", path.as_posix()))  # as macOS writes an ä, it is an a and two dots
    folders = path.parts[:-1]
    stem = MARK.sub("", path.stem)
    common = tuple(part for part in folders if not MASK_FOLDERS.match(part) and not IMAGE_FOLDERS.match(part))
    return Key(common, stem), stem != path.stem or any(MASK_FOLDERS.match(part) for part in folders)


def _separate_pairs(images: dict[Key, list[Path]], masks: dict[Key, list[Path]]) -> None:
    """Take a PNG beside a JPEG of the same name for its mask, as in the published dataset."""
    for key, paths in images.items():
        pngs = [path for path in paths if path.suffix.lower() == ".png"]
        jpegs = [path for path in paths if path.suffix.lower() in JPEG]
        if len(paths) == len(pngs) + len(jpegs) and len(pngs) == len(jpegs) == 1 and key not in masks:
            images[key], masks[key] = jpegs, pngs


def _type_of(key: Key) -> str | None:
    """Return the innermost folder that may be a type's; the published dataset's begin with MT_."""
    return next((part.removeprefix("MT_") for part in reversed(key.folders) if not PARTS.match(part)), None)


def _found(image: Path, defect_type: str | None, masks: list[Path]) -> Found | None:
    """Return the photograph with its mask; None if it needs one."""
    if defect_type and type_name(defect_type) != FREE and not masks:
        return None
    return Found(image, defect_type, masks[0] if masks else None)
