"""Finds the photographs that show one tile, from file names, sizes and registration only, for tile_ids.csv.

A tile's photographs follow one another in the frame counter, exposure by exposure. So neighbours in that order are
compared first. Then the middle photographs of the groups are compared at several rotations: those of neighbouring
groups, which may show a tile that was moved in between, and those of similar size anywhere, which may show a tile that
was photographed again.
"""

import itertools
import random
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from sklearn.metrics import adjusted_rand_score

from studies.registration import SAME_TILE, TURNS, Registrar
from training.dataset.index import Entry
from training.errors import DatasetError

FILE_NAME = re.compile(r"exp(\d+)_num_(\d+)")
NEIGHBOURS = 7  # images before an image in the counter: a tile has up to seven exposures and neighbours may interleave
NEIGHBOUR_GROUPS = 2
SIZE_TOLERANCE = (25, 20)  # pixels of width and height between crops of a tile that was photographed again
EQUAL_SIZE = 10  # pixels, between the images of a sampled pair of different tiles

Pair = tuple[str, str]


@dataclass(frozen=True)
class Difference:
    """A tile of the table that differs from the recovered ones.

    Attributes:
        tiles: the table's tiles that are joined, or the one that is divided.
        groups: the images of each of these tiles, or of each recovered tile.
        correlation: between the middle images of the two closest groups.
    """

    tiles: tuple[str, ...]
    groups: tuple[tuple[str, ...], ...]
    correlation: float


def exposure(image: str) -> int:
    """Return the exposure index in an image's name, 0–6."""
    return _numbers(image)[0]


def frame(image: str) -> int:
    """Return the frame counter in an image's name."""
    return _numbers(image)[1]


def _numbers(image: str) -> tuple[int, int]:
    if not (found := FILE_NAME.fullmatch(image)):
        raise DatasetError(f"{image}: the name is not exp<exposure>_num_<frame>, so its tile cannot be recovered")
    return int(found[1]), int(found[2])


def recover_tiles(entries: Sequence[Entry], registrar: Registrar) -> list[list[str]]:
    """Return the images of each tile, both ordered by the frame counter.

    Raises: DatasetError, when a name lacks exposure or frame.
    """
    order = sorted((entry.name for entry in entries), key=frame)
    group = {image: [image] for image in order}
    before = ((order[max(0, place - NEIGHBOURS) : place], image) for place, image in enumerate(order))
    _join(group, [(first, image) for images, image in before for first in reversed(images)], registrar, (0.0,))
    _join(group, _candidates(_distinct(group), {entry.name: entry for entry in entries}), registrar, TURNS)
    return _distinct(group)


def _join(group: dict[str, list[str]], pairs: Sequence[Pair], registrar: Registrar, degrees: Sequence[float]) -> None:
    """Join the groups of every pair that registers. group: {image: its group}, one list for all images of a group."""
    for angle, (first, second) in itertools.product(degrees, pairs):
        if group[first] is group[second]:
            continue
        if registrar.align(first, second, (angle,)).correlation >= SAME_TILE:
            group[first].extend(group[second])
            group.update(dict.fromkeys(group[second], group[first]))


def _distinct(group: dict[str, list[str]]) -> list[list[str]]:
    return sorted(
        (sorted(images, key=frame) for images in {id(images): images for images in group.values()}.values()),
        key=lambda images: frame(images[0]),
    )


def middle(images: Sequence[str]) -> str:
    """Return the image that represents a group: a middle exposure shows most."""
    return images[len(images) // 2]


def _candidates(groups: Sequence[Sequence[str]], entries: dict[str, Entry]) -> list[Pair]:
    middles = [middle(images) for images in groups]
    return [
        (middles[first], middles[second])
        for first, second in itertools.combinations(range(len(groups)), 2)
        if second - first <= NEIGHBOUR_GROUPS
        or _alike(entries[middles[first]], entries[middles[second]], *SIZE_TOLERANCE)
    ]


def _alike(first: Entry, second: Entry, width: int, height: int) -> bool:
    return abs(first.width - second.width) <= width and abs(first.height - second.height) <= height


def agreement(entries: Sequence[Entry], groups: Sequence[Sequence[str]]) -> float:
    """Return the adjusted Rand index (Hubert and Arabie, 1985) between the table and the groups; 1 means equal."""
    number = {image: place for place, images in enumerate(groups) for image in images}
    return float(adjusted_rand_score([entry.tile for entry in entries], [number[entry.name] for entry in entries]))


def joined(entries: Sequence[Entry], groups: Sequence[Sequence[str]], registrar: Registrar) -> list[Difference]:
    """Return the groups that belong to several tiles of the table."""
    tile = {entry.name: entry.tile for entry in entries}
    parts = [_parts(images, tile) for images in groups]
    return [
        Difference(tuple(part), tuple(part.values()), _closest(list(part.values()), registrar))
        for part in parts
        if len(part) > 1
    ]


def parted(entries: Sequence[Entry], groups: Sequence[Sequence[str]], registrar: Registrar) -> list[Difference]:
    """Return the tiles of the table that were divided into several groups."""
    number = {image: str(place) for place, images in enumerate(groups) for image in images}
    tiles = _parts([entry.name for entry in entries], {entry.name: entry.tile for entry in entries})
    parts = {tile: _parts(sorted(images, key=frame), number) for tile, images in tiles.items()}
    return [
        Difference((tile,), tuple(part.values()), _closest(list(part.values()), registrar))
        for tile, part in sorted(parts.items(), key=lambda item: int(item[0]))
        if len(part) > 1
    ]


def _parts(images: Sequence[str], name: dict[str, str]) -> dict[str, tuple[str, ...]]:
    parts: defaultdict[str, list[str]] = defaultdict(list)
    for image in images:
        parts[name[image]].append(image)
    return {key: tuple(part) for key, part in parts.items()}


def _closest(groups: Sequence[Sequence[str]], registrar: Registrar) -> float:
    pairs = itertools.combinations(groups, 2)
    return max(registrar.align(middle(first), middle(second), TURNS).correlation for first, second in pairs)


def sample_pairs(entries: Sequence[Entry], count: int, seed: int) -> tuple[list[Pair], list[Pair]]:
    """Draw pairs of images of the same tile, and pairs of equally large images of different tiles.

    Returns at most `count` of each.
    """
    pairs = list(itertools.combinations(entries, 2))
    inside = [(a.name, b.name) for a, b in pairs if a.tile == b.tile]
    between = [(a.name, b.name) for a, b in pairs if a.tile != b.tile and _alike(a, b, EQUAL_SIZE, EQUAL_SIZE)]
    draw = random.Random(seed)  # noqa: S311 - a sample, not a secret
    return draw.sample(inside, min(count, len(inside))), draw.sample(between, min(count, len(between)))
