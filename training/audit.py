"""The label audit: data/tiles → docs/label_audit.md, training/doubtful_images.csv and training/tile_ids.csv.

Not a stage of the pipeline: the labels are published and don't change, and the images that it doubts stay in every
figure but the second line of the scores. Run it again when a rule changes: python -m training.audit
"""

import csv
import io
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from tiles import decode_image, decode_mask
from training.audit_figures import examine
from training.audit_report import render
from training.check_packages import check_packages
from training.checkpoint import write_aside
from training.data_load import TILE_IDS_FILE
from training.data_split import read_index
from training.dataset import Sample
from training.errors import exit_status
from training.index import TILES_FOLDER, Entry, image_file
from training.params import load_params
from training.recover_tiles import frame
from training.report import DOUBTFUL_FILE

REPORT_FILE = Path("docs/label_audit.md")


def load_samples(entries: Sequence[Entry], max_pixels: int, folder: Path = TILES_FOLDER) -> dict[str, Sample]:
    """Load every image with its mask.

    Raises: tiles.DecodeError, when data_load's output was damaged since.
    """
    samples = {}
    for entry in entries:
        tile = decode_image(image_file(folder, entry.image).read_bytes(), max_pixels=max_pixels)
        mask = decode_mask((folder / "masks" / f"{entry.image}.png").read_bytes(), above=127, max_pixels=max_pixels)
        samples[entry.image] = Sample(entry, tile, mask)
    return samples


def csv_table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a CSV table."""
    table = io.StringIO()
    csv.writer(table, lineterminator="\n").writerows([header, *rows])
    return table.getvalue()


def tile_ids(tiles: Sequence[Sequence[Sample]]) -> list[tuple[str, int]]:
    """Return image and tile of every image, by the frame counter; a tile's number is its first frame's."""
    rows = [(sample.entry.image, frame(tile[0].entry.image)) for tile in tiles for sample in tile]
    return sorted(rows, key=lambda row: frame(row[0]))


def main() -> None:
    """Audit data/tiles and write all three files."""
    check_packages()
    audit = examine(load_samples(read_index(), load_params().data_load.max_pixels))
    write_aside(REPORT_FILE, render(audit))
    write_aside(DOUBTFUL_FILE, csv_table(["image", "reason"], audit.doubtful.items()))
    write_aside(TILE_IDS_FILE, csv_table(["image", "tile"], tile_ids(audit.tiles)))


if __name__ == "__main__":
    sys.exit(exit_status(main))
