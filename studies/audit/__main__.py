"""`python -m studies.audit`: data/tiles → studies/label_audit.md, doubtful_images.csv and tile_ids.csv.

It is not a stage of the pipeline, because the labels are published and do not change. The doubtful images count in
every figure except the second column of the report and the model card. Run the audit again when a rule changes.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from host.files import write_table, write_whole
from studies.audit.figures import examine
from studies.audit.report import render
from studies.audit.tile_recovery import frame
from training.dataset.index import read_index
from training.dataset.samples import Sample, load_sample
from training.errors import exit_status
from training.files import DOUBTFUL_FILE, TILE_IDS_FILE
from training.packages import check_packages

REPORT_FILE = Path("studies/label_audit.md")


def tile_ids(tiles: Sequence[Sequence[Sample]]) -> list[tuple[str, int]]:
    """Return (image, tile) of every image, ordered by the frame counter; a tile has the number of its first frame."""
    rows = [(sample.entry.name, frame(tile[0].entry.name)) for tile in tiles for sample in tile]
    return sorted(rows, key=lambda row: frame(row[0]))


def main() -> None:
    """Audit data/tiles and write all three files."""
    check_packages()
    audit = examine({entry.name: load_sample(entry) for entry in read_index()})
    write_whole(REPORT_FILE, render(audit))
    write_table(DOUBTFUL_FILE, [{"image": name, "reason": reason} for name, reason in audit.doubtful.items()])
    write_table(TILE_IDS_FILE, [{"image": name, "tile": tile} for name, tile in tile_ids(audit.tiles)])


if __name__ == "__main__":
    sys.exit(exit_status(main))
