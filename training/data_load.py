"""Stage data_load: archive, or a table of your own → data/tiles/: the images as they are, binary masks, and an index.

data/tiles/images/<image>.jpg   bytes as they came; .png where they are PNG
data/tiles/masks/<image>.png    1 bit a pixel, white where defective by the rule of params.yaml
data/tiles/index.csv            image, tile, type, width, height, defect_pixels
data/tiles/digest               sha256 of the images and masks as they came
"""

import csv
import shutil
import sys
from collections import Counter
from pathlib import Path, PurePosixPath

from tqdm import tqdm

from training.archive import find_archive, read_members
from training.check_packages import check_packages
from training.errors import ArchiveError, DatasetError, exit_status
from training.index import FREE, TILES_FOLDER, Entry, content_digest, write_digest, write_index
from training.own_data import contents, read_table, write_images
from training.pairs import File, make_folders, read_image, read_mask, write_pair
from training.params import DataLoadParams, load_params

DOWNLOAD_FOLDER = Path(".run/download")
TILE_IDS_FILE = Path(__file__).with_name("tile_ids.csv")


def verify_content(members: dict[str, bytes], expected: str, source: Path) -> None:
    """Compare the content's digest with the one of params.yaml; an empty one is printed instead.

    Raises: ArchiveError, naming the archive or the table that it came from.
    """
    found = content_digest(members)
    if not expected:
        print(f"data_load.digest of these {len(members)} files: {found}")  # noqa: T201
    elif found != expected:
        raise ArchiveError(
            f"the {len(members)} files of {source} have the digest {found}, params.yaml expects {expected}: a download "
            "is damaged (delete it and run again), or the data is another (put its digest, or an empty one, into "
            "data_load.digest)"
        )


def read_archive(params: DataLoadParams) -> dict[str, bytes]:
    """Return the archive's images and masks as {"MT_<type>/Imgs/<name>": bytes}.

    Raises: ArchiveError, when it can't be had, read, or is another than params.yaml's.
    """
    archive = find_archive(params.url, DOWNLOAD_FOLDER)
    members = read_members(archive)
    verify_content(members, params.digest, archive)
    return members


def read_tile_ids(path: Path = TILE_IDS_FILE) -> dict[str, str]:
    """Return {image: physical tile}; docs/dataset.md tells how the tiles were recovered."""
    with path.open(newline="") as file:
        return {row["image"]: row["tile"] for row in csv.DictReader(file)}


def write_dataset(members: dict[str, bytes], tile_ids: dict[str, str], params: DataLoadParams, folder: Path) -> None:
    """Check every pair and write images, masks and index.

    Raises: DatasetError, naming every file that is corrupt, has another size or no partner, or an unknown tile.
    """
    make_folders(folder)
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
    write_digest(members, folder)


def _names_used_twice(stems: list[str]) -> list[str]:
    """Images are told apart by their name alone, in every table of the pipeline."""
    known = [PurePosixPath(stem) for stem in stems]
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
    if kind not in (types := [*params.types, FREE]):
        raise DatasetError(f"{stem}.jpg: the folder's type {kind} is none of {', '.join(types)}")
    if image not in tile_ids:
        raise DatasetError(f"{stem}.jpg: {TILE_IDS_FILE.name} does not name its physical tile; add a row")
    if f"{stem}.png" not in members:
        raise DatasetError(f"{stem}.jpg: its mask {stem}.png is missing")
    tile = read_image(File(f"{stem}.jpg", members[f"{stem}.jpg"]), params)
    mask = read_mask(File(f"{stem}.png", members[f"{stem}.png"]), tile, params)
    write_pair(image, members[f"{stem}.jpg"], mask, folder)
    return Entry(image, tile_ids[image], kind, tile.shape[1], tile.shape[0], int(mask.sum()))


def main() -> None:
    """Run the stage; the folder appears whole or not at all."""
    check_packages()
    params = load_params().data_load
    aside = TILES_FOLDER.with_name("tiles.new")
    shutil.rmtree(aside, ignore_errors=True)
    if params.table:
        images = read_table(Path(params.table), params)
        verify_content(contents(images), params.digest, Path(params.table))
        write_images(images, params, aside)
    else:
        members = read_archive(params)
        write_dataset(members, read_tile_ids(), params, aside)
    shutil.rmtree(TILES_FOLDER, ignore_errors=True)
    aside.replace(TILES_FOLDER)


if __name__ == "__main__":
    sys.exit(exit_status(main))
