"""Stage data_split: index → data/split.csv, the fold and the part (train, validation, test) of each image.

`by_tile` keeps all exposures of one physical tile in one fold, stratified by type. `random` draws images: siblings of
nearly every test image are then trained on. It exists to compare with the literature, and is called leaky everywhere.
"""

import csv
import sys
from collections import Counter
from pathlib import Path

from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from training.check_packages import check_packages
from training.errors import DatasetError, exit_status
from training.index import FREE, TILES_FOLDER, Entry
from training.params import DataSplitParams, load_params

SPLIT_FILE = Path("data/split.csv")
PARTS = ("train", "validation", "test")
MAY_LEAK = (
    "may leak: data_load.group names no column, so each image counts as a tile of its own; where several show one "
    "object, add a column that tells which, or the figures say how well the network remembers"
)


def read_index(path: Path = TILES_FOLDER / "index.csv") -> list[Entry]:
    """Read the index table that data_load wrote.

    Raises: DatasetError, when it is not there.
    """
    if not path.is_file():
        raise DatasetError(f"{path} is missing: run `dvc repro data_load`, or `dvc pull` it")
    with path.open(newline="") as file:
        return [
            Entry(r["image"], r["tile"], r["type"], int(r["width"]), int(r["height"]), int(r["defect_pixels"]))
            for r in csv.DictReader(file)
        ]


def assign_folds(entries: list[Entry], params: DataSplitParams, seed: int) -> dict[str, int]:
    """Return {image: fold}; every image is in one fold, and by_tile every tile is too.

    Raises: DatasetError, when a type has too few tiles (or images) for the number of folds.
    """
    by_tile = params.method == "by_tile"
    _refuse_too_few(entries, params, by_tile=by_tile)
    types, tiles = [entry.type for entry in entries], [entry.tile for entry in entries]
    splitter = StratifiedGroupKFold if by_tile else StratifiedKFold
    groups = tiles if by_tile else None
    folds = splitter(params.folds, shuffle=True, random_state=seed).split(types, types, groups)
    return {entries[row].image: fold for fold, (_, rows) in enumerate(folds) for row in rows}


def _refuse_too_few(entries: list[Entry], params: DataSplitParams, *, by_tile: bool) -> None:
    unit = "tiles" if by_tile else "images"
    count = Counter(kind for kind, _ in {(entry.type, entry.tile if by_tile else entry.image) for entry in entries})
    if few := [f"{kind} has {count[kind]} {unit}" for kind in sorted(count) if count[kind] < params.folds]:
        raise DatasetError(f"{', '.join(few)}: too few for {params.folds} folds, lower data_split.folds")


def refuse_lacking(entries: list[Entry], folds: dict[str, int]) -> None:
    """Check that every fold shows every type; an image of a defect's folder shows it where its mask is not empty.

    Raises: DatasetError, naming each fold and what it lacks.
    """
    shown = {(folds[e.image], e.type) for e in entries if e.type == FREE or e.defect_pixels}
    types = sorted({FREE, *(entry.type for entry in entries)})
    lacking = [(fold, kind) for fold in sorted(set(folds.values())) for kind in types if (fold, kind) not in shown]
    if lacking:
        lines = [f"fold {fold} has no {kind} image{'' if kind == FREE else ' with a defect'}" for fold, kind in lacking]
        raise DatasetError(
            f"{', '.join(lines)}: add such tiles, lower data_split.folds or data_load.mask_above, or change base.seed"
        )


def assign_parts(entries: list[Entry], params: DataSplitParams, seed: int) -> dict[str, str]:
    """Return {image: part}.

    Raises: DatasetError, when a type has too few tiles (or images), or a fold lacks one.
    """
    folds = assign_folds(entries, params, seed)
    refuse_lacking(entries, folds)
    return parts_of(entries, folds, params)


def parts_of(entries: list[Entry], folds: dict[str, int], params: DataSplitParams) -> dict[str, str]:
    """Return {image: part}: one fold tests, one validates, the others train, and so does what validation spares.

    By tile, validation keeps its sound tiles and `validation_tiles` defective ones of each type: two numbers are chosen
    there, which needs few, while tiles to train on are what the network lacks.
    """
    names = {params.test_fold: "test", params.validation_fold: "validation"}
    parts = {image: names.get(fold, "train") for image, fold in folds.items()}
    if params.method == "by_tile" and params.validation_tiles is not None:
        spared = _spared([entry for entry in entries if parts[entry.image] == "validation"], params.validation_tiles)
        parts |= {entry.image: "train" for entry in entries if entry.tile in spared}
    return parts


def _spared(entries: list[Entry], kept_of_a_type: int) -> set[str]:
    """Return the defective tiles beyond the first so many of each type, in the order of their names."""
    of_type = {kind: sorted({e.tile for e in entries if e.type == kind}) for kind in {e.type for e in entries} - {FREE}}
    return {tile for tiles in of_type.values() for tile in tiles} - {
        tile for tiles in of_type.values() for tile in tiles[:kept_of_a_type]
    }


def read_split(path: Path = SPLIT_FILE) -> dict[str, str]:
    """Read {image: part} from the split table.

    Raises: DatasetError, when it is not there.
    """
    if not path.is_file():
        raise DatasetError(f"{path} is missing: run `dvc repro data_split`, or `dvc pull` it")
    with path.open(newline="") as file:
        return {row["image"]: row["part"] for row in csv.DictReader(file)}


def main() -> None:
    """Run the stage and print how many images and tiles each part has."""
    check_packages()
    params = load_params()
    entries = read_index()
    folds = assign_folds(entries, params.data_split, params.base.seed)
    refuse_lacking(entries, folds)
    parts = parts_of(entries, folds, params.data_split)
    with SPLIT_FILE.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["image", "tile", "type", "fold", "part"])
        writer.writerows([e.image, e.tile, e.type, folds[e.image], parts[e.image]] for e in entries)
    for part in PARTS:
        chosen = [entry for entry in entries if parts[entry.image] == part]
        types = Counter(entry.type for entry in chosen)
        print(f"{part}: {len(chosen)} images of {len({e.tile for e in chosen})} tiles, {dict(sorted(types.items()))}")  # noqa: T201
    if params.data_split.method == "random":
        print("leaky: exposures of one tile stand in several parts; compare only with other random splits")  # noqa: T201
    elif params.data_load.table and not params.data_load.group:
        print(MAY_LEAK)  # noqa: T201


if __name__ == "__main__":
    sys.exit(exit_status(main))
