"""The split: which fold each image is in, and which part (train, validation, test) it belongs to.

`by_tile` keeps all exposures of one tile in one fold, stratified by defect type. `random` draws images, so that
siblings of nearly every test image are in training. It exists for comparison with the literature, and its figures are
called leaky.
"""

import csv
from collections import Counter
from pathlib import Path

from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from tiles import decode_image
from training.dataset.image_files import image_file, pixel_digest
from training.dataset.index import FREE, Entry
from training.dataset.table import refuse
from training.errors import DatasetError
from training.files import SPLIT_FILE, TILES_FOLDER
from training.params import DataSplitParams
from training.progress import bar

PARTS = ("train", "validation", "test")


def assign_folds(entries: list[Entry], params: DataSplitParams, seed: int) -> dict[str, int]:
    """Return {image: fold}; every image is in one fold, and with `by_tile` every tile as well.

    Raises: DatasetError, when a type has too few tiles (or images) for the number of folds.
    """
    by_tile = params.method == "by_tile"
    _refuse_too_few(entries, params, by_tile=by_tile)
    types, tiles = [entry.defect_type for entry in entries], [entry.tile for entry in entries]
    splitter = StratifiedGroupKFold if by_tile else StratifiedKFold
    groups = tiles if by_tile else None
    folds = splitter(params.folds, shuffle=True, random_state=seed).split(types, types, groups)
    return {entries[row].name: fold for fold, (_, rows) in enumerate(folds) for row in rows}


def _refuse_too_few(entries: list[Entry], params: DataSplitParams, *, by_tile: bool) -> None:
    unit = "tiles" if by_tile else "images"
    units = {(entry.defect_type, entry.tile if by_tile else entry.name) for entry in entries}
    count = Counter(defect_type for defect_type, _ in units)
    if few := [f"{name} has {count[name]} {unit}" for name in sorted(count) if count[name] < params.folds]:
        raise DatasetError(f"{', '.join(few)}: too few for {params.folds} folds, lower data_split.folds")


def refuse_lacking(entries: list[Entry], folds: dict[str, int]) -> None:
    """Check that every fold shows every type; an image filed under a defect type counts only if its mask is not empty.

    Raises: DatasetError, naming each fold and what it lacks.
    """
    shown = {(folds[e.name], e.defect_type) for e in entries if e.defect_type == FREE or e.defect_pixels}
    types = sorted({FREE, *(entry.defect_type for entry in entries)})
    lacking = [(fold, name) for fold in sorted(set(folds.values())) for name in types if (fold, name) not in shown]
    if lacking:
        lines = [f"fold {fold} has no {name} image{'' if name == FREE else ' with a defect'}" for fold, name in lacking]
        raise DatasetError(
            f"{', '.join(lines)}: add such tiles, lower data_split.folds or data_load.mask_above, or change base.seed"
        )


def refuse_empty_validation(entries: list[Entry], parts: dict[str, str]) -> None:
    """Check that validation still has Free images when its spared tiles train: the alarm score is chosen on them.

    Raises: DatasetError.
    """
    if not any(parts[entry.name] == "validation" and entry.defect_type == FREE for entry in entries):
        raise DatasetError(
            "the validation part has no Free image, so no alarm score can be chosen: all Free images of that fold show "
            "defective tiles that train. Raise data_split.validation_tiles, or set it to null, or add tiles without a "
            "defect"
        )


def refuse_shared_photographs(
    entries: list[Entry], folds: dict[str, int], parts: dict[str, str], folder: Path = TILES_FOLDER
) -> None:
    """Check that no photograph is in two folds or parts, under two names.

    Raises: DatasetError, naming both.
    """
    first: dict[bytes, str] = {}
    shared = []
    for entry in bar(iterable=entries, desc="data_split", unit="image"):
        image = decode_image(image_file(folder, entry.name).read_bytes(), max_pixels=entry.width * entry.height)
        other = first.setdefault(pixel_digest(image), entry.name)
        if (folds[other], parts[other]) != (folds[entry.name], parts[entry.name]):
            shared.append(
                f"{other} in fold {folds[other]} and {entry.name} in fold {folds[entry.name]} are the same photograph: "
                "remove one of the two rows from the table, or give both the same object in data_load.group's column"
            )
    refuse(SPLIT_FILE, shared)


def assign_folds_and_parts(
    entries: list[Entry], params: DataSplitParams, seed: int
) -> tuple[dict[str, int], dict[str, str]]:
    """Return {image: fold} and {image: part}.

    Raises: DatasetError, when a type has too few tiles (or images), a fold lacks one, or validation has no Free image.
    """
    folds = assign_folds(entries, params, seed)
    refuse_lacking(entries, folds)
    parts = parts_of(entries, folds, params)
    refuse_empty_validation(entries, parts)
    return folds, parts


def parts_of(entries: list[Entry], folds: dict[str, int], params: DataSplitParams) -> dict[str, str]:
    """Return {image: part}: one fold tests, one validates, the others train.

    With `by_tile`, validation keeps its tiles without a defect and `validation_tiles` defective ones of each type; its
    other defective tiles train. Validation chooses only two numbers, for which few tiles are enough, and the network
    has few tiles to train on.
    """
    names = {params.test_fold: "test", params.validation_fold: "validation"}
    parts = {image: names.get(fold, "train") for image, fold in folds.items()}
    if params.method == "by_tile" and params.validation_tiles is not None:
        spared = _spared([entry for entry in entries if parts[entry.name] == "validation"], params.validation_tiles)
        parts |= {entry.name: "train" for entry in entries if entry.tile in spared}
    return parts


def _spared(entries: list[Entry], kept_of_a_type: int) -> set[str]:
    """Return the defective tiles beyond the first `kept_of_a_type` of each type, by name."""
    types = {entry.defect_type for entry in entries} - {FREE}
    tiles_of = {name: sorted({entry.tile for entry in entries if entry.defect_type == name}) for name in types}
    kept = {tile for tiles in tiles_of.values() for tile in tiles[:kept_of_a_type]}
    return {tile for tiles in tiles_of.values() for tile in tiles} - kept


def read_split(path: Path = SPLIT_FILE) -> dict[str, str]:
    """Read {image: part} from the split table.

    Raises: DatasetError, when it is missing.
    """
    if not path.is_file():
        raise DatasetError(f"{path} is missing: run `dvc repro data_split`, or `dvc pull` it")
    with path.open(newline="", encoding="utf-8") as file:
        return {row["image"]: row["part"] for row in csv.DictReader(file)}
