"""Stage data_load: archive → data/tiles/, the images as published, their binary masks, and an index table.

data/tiles/images/<image>.jpg   bytes as published
data/tiles/masks/<image>.png    1 bit a pixel, white where defective by the rule of params.yaml
data/tiles/index.csv            image, tile, type, width, height, defect_pixels
"""

import csv
import hashlib
import shutil
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from tqdm import tqdm

from tiles import DEFECT_TYPES, DecodeError, decode_mask, decode_tile, encode_mask_png
from training.archive import find_archive, read_members
from training.check_packages import check_packages
from training.errors import ArchiveError, DatasetError, exit_status
from training.params import DataLoadParams, load_params

TILES_FOLDER = Path("data/tiles")
DOWNLOAD_FOLDER = Path(".run/download")
TILE_IDS_FILE = Path(__file__).with_name("tile_ids.csv")
FREE = "Free"  # the type of an image without a defect
TYPES = (*DEFECT_TYPES, FREE)


@dataclass(frozen=True)
class Entry:
    """One image of the archive. tile: the physical tile's identity; type: of TYPES, by the published folder."""

    image: str
    tile: str
    type: str
    width: int
    height: int
    defect_pixels: int


def content_digest(members: dict[str, bytes]) -> str:
    """Return the sha256 over paths and bytes, in the order of the paths: equal content, equal digest, any zip."""
    digest = hashlib.sha256()
    for name in sorted(members):
        digest.update(name.encode() + b"\0" + hashlib.sha256(members[name]).digest())
    return digest.hexdigest()


def verify_content(members: dict[str, bytes], expected: str) -> None:
    """Compare the content's digest with the one of params.yaml; an empty one is printed instead.

    Raises: ArchiveError.
    """
    found = content_digest(members)
    if not expected:
        print(f"data_load.digest of these {len(members)} files: {found}")  # noqa: T201
    elif found != expected:
        raise ArchiveError(
            f"the archive's {len(members)} files have the digest {found}, params.yaml expects {expected}: the archive "
            "is damaged (delete it and run again) or another one (put its digest, or an empty one, into "
            "data_load.digest)"
        )


def read_tile_ids(path: Path = TILE_IDS_FILE) -> dict[str, str]:
    """Return {image: physical tile}; docs/dataset.md tells how the tiles were recovered."""
    with path.open(newline="") as file:
        return {row["image"]: row["tile"] for row in csv.DictReader(file)}


def read_pair(name: str, image: bytes, mask: bytes | None, params: DataLoadParams) -> tuple[np.ndarray, np.ndarray]:
    """Decode one image and its mask.

    Shapes: (H, W) uint8 and (H, W) bool.
    Raises: DatasetError, naming the file.
    """
    if mask is None:
        raise DatasetError(f"{name}.jpg: its mask {name}.png is missing")
    try:
        tile = decode_tile(image, max_pixels=params.max_pixels)
    except DecodeError as error:
        raise DatasetError(f"{name}.jpg: {error}") from None
    try:
        truth = decode_mask(mask, above=params.mask_above, max_pixels=params.max_pixels)
    except DecodeError as error:
        raise DatasetError(f"{name}.png: {error}") from None
    if tile.shape != truth.shape:
        raise DatasetError(f"{name}.png: the mask is {truth.shape[::-1]} pixels, its image {tile.shape[::-1]}")
    return tile, truth


def write_dataset(members: dict[str, bytes], tile_ids: dict[str, str], params: DataLoadParams, folder: Path) -> None:
    """Check every pair and write images, masks and index.

    Raises: DatasetError, naming every file that is corrupt, has another size or no partner, or an unknown tile.
    """
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    stems = sorted({str(PurePosixPath(name).with_suffix("")) for name in members})
    entries: list[Entry] = []
    problems = _names_used_twice(stems)
    for stem in tqdm(stems, desc="data_load", unit="image"):
        try:
            entries.append(_write_pair(stem, members, tile_ids, params, folder))
        except DatasetError as error:
            problems.append(str(error))
    if problems or not entries:
        raise DatasetError("\n  ".join(["the archive's images don't fit together:", *(problems or ["there are none"])]))
    write_index(entries, folder / "index.csv")


def _names_used_twice(stems: list[str]) -> list[str]:
    """Images are told apart by their name alone, in every table of the pipeline."""
    known = [PurePosixPath(stem) for stem in stems if _kind(stem) in TYPES]
    count = Counter(stem.name for stem in known)
    return [f"{stem}.jpg: another type has an image of this name" for stem in known if count[stem.name] > 1]


def _kind(stem: str) -> str:
    return PurePosixPath(stem).parts[0].removeprefix("MT_")


def _write_pair(
    stem: str, members: dict[str, bytes], tile_ids: dict[str, str], params: DataLoadParams, folder: Path
) -> Entry:
    image, kind = PurePosixPath(stem).name, _kind(stem)
    if f"{stem}.jpg" not in members:
        raise DatasetError(f"{stem}.png: its image {stem}.jpg is missing")
    if kind not in TYPES:
        raise DatasetError(f"{stem}.jpg: the folder's type {kind} is none of {', '.join(TYPES)}")
    if image not in tile_ids:
        raise DatasetError(f"{stem}.jpg: {TILE_IDS_FILE.name} does not name its physical tile; add a row")
    tile, mask = read_pair(stem, members[f"{stem}.jpg"], members.get(f"{stem}.png"), params)
    (folder / "images" / f"{image}.jpg").write_bytes(members[f"{stem}.jpg"])
    (folder / "masks" / f"{image}.png").write_bytes(encode_mask_png(mask))
    return Entry(image, tile_ids[image], kind, tile.shape[1], tile.shape[0], int(mask.sum()))


def write_index(entries: list[Entry], path: Path) -> None:
    """Write the index table, one row an image, ordered by image."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(Entry.__dataclass_fields__)
        writer.writerows(vars(entry).values() for entry in sorted(entries, key=lambda entry: entry.image))


def main() -> None:
    """Run the stage; the folder appears whole or not at all."""
    check_packages()
    params = load_params().data_load
    members = read_members(find_archive(params.url, DOWNLOAD_FOLDER))
    verify_content(members, params.digest)
    aside = TILES_FOLDER.with_name("tiles.new")
    shutil.rmtree(aside, ignore_errors=True)
    write_dataset(members, read_tile_ids(), params, aside)
    shutil.rmtree(TILES_FOLDER, ignore_errors=True)
    aside.replace(TILES_FOLDER)


if __name__ == "__main__":
    sys.exit(exit_status(main))
