"""Stage data_split: index → data/split.csv, the fold and the part (train, validation, test) of each image."""

import csv
import sys
from collections import Counter
from collections.abc import Mapping, Sequence

from host.files import replacing
from training.dataset.index import Entry, read_index
from training.dataset.split import PARTS, assign_folds_and_parts, refuse_shared_photographs
from training.errors import exit_status
from training.files import SPLIT_FILE
from training.packages import check_packages
from training.params import Params, load_params
from training.runs import refuse_unfit_inputs

LEAKY = "leaky: exposures of one tile are in several parts; compare only with other random splits"
MAY_LEAK = (
    "may leak: data_load.group names no column, so each image counts as a separate tile. If several images show one "
    "object, add a column that names the object; otherwise the figures measure how well the network remembers objects"
)


def main() -> None:
    """Run the stage."""
    check_packages()
    refuse_unfit_inputs()
    params = load_params()
    entries = read_index()
    folds, parts = assign_folds_and_parts(entries, params.data_split, params.base.seed)
    if params.data_load.table:
        refuse_shared_photographs(entries, folds, parts)
    with replacing(SPLIT_FILE) as aside, aside.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["image", "tile", "type", "fold", "part"])
        writer.writerows([e.name, e.tile, e.defect_type, folds[e.name], parts[e.name]] for e in entries)
    _report(entries, parts, params)


def _report(entries: Sequence[Entry], parts: Mapping[str, str], params: Params) -> None:
    """Print how many images and tiles each part has, and whether the split leaks or may leak."""
    for part in PARTS:
        chosen = [entry for entry in entries if parts[entry.name] == part]
        types = dict(sorted(Counter(entry.defect_type for entry in chosen).items()))
        print(f"{part}: {len(chosen)} images of {len({e.tile for e in chosen})} tiles, {types}")  # noqa: T201
    if params.data_split.method == "random":
        print(LEAKY)  # noqa: T201
    elif params.data_load.table and not params.data_load.group:
        print(MAY_LEAK)  # noqa: T201


if __name__ == "__main__":
    sys.exit(exit_status(main))
