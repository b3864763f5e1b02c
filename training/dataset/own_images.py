"""Your own images, from the table's rows to a folder like data/tiles."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from training.dataset.image_files import make_folders, pixel_digest, write_image_and_mask
from training.dataset.index import FREE, Entry, unused_types, write_digest, write_index
from training.dataset.table import OwnImage, contents, refuse
from training.dataset.truth import Truth, read_truth
from training.errors import DatasetError
from training.params import DataLoadParams
from training.progress import bar


class Seen(NamedTuple):
    """An image that was checked, and digests of its pixels and of its mask's; empty for an empty mask."""

    own: OwnImage
    image: bytes
    mask: bytes


def write_images(images: Sequence[OwnImage], params: DataLoadParams, folder: Path) -> list[str]:
    """Check every image against its mask, its type and the others, and write images, masks and index.

    Returns: warnings of what a person should look at.
    Raises: DatasetError, naming every file that does not fit.
    """
    make_folders(folder)
    count = Counter(own.name for own in images)
    problems = [
        f"{own.image.name}: another row's image is also called {own.name}: delete the row, or rename a file"
        for own in images
        if count[own.name] > 1
    ]
    problems += _types_without_images(images, params)
    entries, warnings, seen = [], [], []
    for own in bar(iterable=images, desc="data_load", unit="image"):
        try:
            truth = read_truth(own, params)
        except DatasetError as error:
            problems.append(str(error))
            continue
        entries.append(_write(own, truth, folder))
        warnings += truth.warnings
        seen.append(Seen(own, pixel_digest(truth.image), pixel_digest(truth.mask) if truth.mask.any() else b""))
    problems += _contradictions(seen)
    refuse(Path(params.table or ""), problems)
    write_index(entries, folder)
    write_digest(contents(images), folder)
    return [*warnings, *_doubles(seen), *_equal_masks(seen)]


def _types_without_images(images: Sequence[OwnImage], params: DataLoadParams) -> list[str]:
    used = {own.defect_type for own in images}
    problems = (
        [f"no image is {FREE}: add images without a defect, they teach what is normal"] if FREE not in used else []
    )
    return problems + unused_types(params.types, used)


def _write(own: OwnImage, truth: Truth, folder: Path) -> Entry:
    write_image_and_mask(own.name, own.image.content, truth.mask, folder)
    height, width = truth.image.shape
    return Entry(own.name, own.tile, own.defect_type, width, height, int(truth.mask.sum()))


def _contradictions(seen: Iterable[Seen]) -> list[str]:
    """Return a message for each photograph that is there twice, with different truth."""
    return [
        f"{one.own.image.name} and {other.own.image.name} are the same photograph with different types or masks: keep "
        "one of the two rows"
        for one, other in _alike(seen, by="image")
        if (one.mask, one.own.defect_type) != (other.mask, other.own.defect_type)
    ]


def _doubles(seen: Iterable[Seen]) -> list[str]:
    """Return a message for each photograph that is there twice, under two names."""
    return [
        f"{one.own.image.name} and {other.own.image.name} are the same photograph: keep one of the two rows"
        for one, other in _alike(seen, by="image")
    ]


def _equal_masks(seen: Iterable[Seen]) -> list[str]:
    """Return a message for each mask that is there twice, under photographs of different objects."""
    return [
        f"{one.own.mask.name} and {other.own.mask.name} are the same mask, but their photographs are not: give each "
        "photograph its own; if both show one object, name it in data_load.group's column"
        for one, other in _alike((each for each in seen if each.mask), by="mask")
        if one.own.mask and other.own.mask and one.image != other.image and one.own.tile != other.own.tile
    ]


def _alike(seen: Iterable[Seen], by: str) -> list[tuple[Seen, Seen]]:
    """Return the first image of each digest with every later one of the same digest."""
    groups: dict[bytes, list[Seen]] = defaultdict(list)
    for each in seen:
        groups[getattr(each, by)].append(each)
    return [(group[0], other) for group in groups.values() for other in group[1:]]
