"""The model card's tables and sentences, in Markdown; figures come in, nothing is read here."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from training.data_split import PARTS
from training.index import FREE, Entry
from training.markdown import table
from training.measure import Outcomes
from training.report import flat
from training.report_text import headline

COUNTS = {
    "images": "images",
    "tiles": "physical tiles that they show",
    "defective_images": "defective images",
    "found_images": "… of which something is found",
    "free.images": "Free images",
    "free.any_pixel": "… with a false alarm",
    "free.over_20_px": "… of more than 20 pixels",
}
SPLITS = {
    "by_tile": "physical tile, so that no exposure of a test tile is trained on",
    "random": "image, at random: siblings of nearly every test image are trained on, and the figures are leaky",
}
MEGAPIXEL = 1_000_000
PUBLISHED = """The [public dataset](dataset.md) of Huang, Qiu and Yuan. Its authors welcome its use and ask to be cited:

> Y. Huang, C. Qiu, K. Yuan: *Surface defect saliency of magnetic tile.* The Visual Computer 36 (2020), 85–96.
> [doi:10.1007/s00371-018-1588-5](https://doi.org/10.1007/s00371-018-1588-5)

The [label audit](label_audit.md) doubts the labels of {doubtful} of its images (`training/doubtful_images.csv`); they
are kept, and the second column of figures leaves them out."""


def network_text(train: Mapping[str, Any], parameters: int, multiply_adds: float) -> str:
    """Return what the network is made of, and how large it is. multiply_adds: for one pixel."""
    rows = [
        ("encoder", f"`{train['encoder']}`, weights at first: {train['encoder_weights'] or 'random'}"),
        ("channels of the decoder", "-".join(map(str, train["decoder_channels"]))),
        ("parameters", f"{parameters / 1e6:.2f} million"),
        ("multiply-adds for a megapixel", f"{multiply_adds * MEGAPIXEL / 1e9:.1f} billion"),
    ]
    return table(["", ""], rows)


def source_text(table: str | None, doubtful: int) -> str:
    """Return where the images come from. table: of the user's own ones; doubtful: published ones of doubtful labels."""
    return PUBLISHED.format(doubtful=doubtful) if table is None else f"The images and masks of the table `{table}`."


def data_text(entries: Sequence[Entry], parts: Mapping[str, str]) -> str:
    """Return how many images of how many tiles each part holds of each type."""

    def count(kinds: Sequence[str], chosen: Sequence[str]) -> str:
        tiles = [entry.tile for entry in entries if entry.type in kinds and parts[entry.image] in chosen]
        return f"{len(tiles)} ({len(set(tiles))})"

    types = [*sorted({entry.type for entry in entries} - {FREE}), FREE]
    rows = [(kind, [kind]) for kind in types] + [("all", types)]
    return table(
        ["type", "all", *PARTS],
        [[name, count(kinds, PARTS), *(count(kinds, [part]) for part in PARTS)] for name, kinds in rows],
    )


def split_text(split: Mapping[str, Any]) -> str:
    """Return which folds train, choose and test."""
    kept = split["validation_tiles"] if split["method"] == "by_tile" else None
    rest = f" with fold {split['validation_fold']}'s defective tiles but for {kept} of each type" if kept else ""
    return (
        f"into {split['folds']} folds by {SPLITS[split['method']]}: fold {split['test_fold']} tests, fold "
        f"{split['validation_fold']} chooses the operating point, the other {split['folds'] - 2} train{rest}"
    )


def figures_text(columns: Mapping[str, Mapping[str, Any]], types: Sequence[str]) -> str:
    """Return every figure of the test part. columns: {what of it: its figures}."""
    found = [flat(dict(figures)) for figures in columns.values()]
    rows = [
        [words, *(_figure(column.get(name)) for column in found)]
        for name, words in (COUNTS | headline(types)).items()
        if any(name in column for column in found)
    ]
    return table(["figure", *columns], rows)


def _figure(value: float | None) -> str:
    if value is None:
        return "–"  # of a type or a kind of image that is not there
    return str(value) if isinstance(value, int) else f"{value:.3f}"


def by_type_text(types: Mapping[str, Mapping[str, Any]]) -> str:
    """Return how many images of each type are found, how right their type is, and how right their mask."""
    return table(
        ["type", "defective images", "found", "type right, of these", "Dice"],
        [
            (
                kind,
                found["defective_images"],
                found["found_images"],
                f"{found['type_right_of_found']:.1%}" if found["found_images"] else "–",
                f"{found['dice_by_type'][kind]:.3f}",
            )
            for kind, found in types.items()
        ],
    )


def weakest_text(types: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the type of the lowest Dice."""
    dice = {kind: found["dice_by_type"][kind] for kind, found in types.items()}
    kind = min(dice, key=lambda kind: dice[kind])
    return f"{kind}, with a Dice of {dice[kind]:.3f}"


def misses_text(outcomes: Outcomes) -> str:
    """Return how many defective images are missed, and how large their defects are."""
    defective = outcomes.take(outcomes.defective)
    pixels, missed = defective.true_positive + defective.false_negative, defective.true_positive == 0
    if not missed.any():
        return "Something is found on every defective image."
    text = f"Nothing is found on {missed.sum()} of {len(defective)} defective images; their defects have a median of "
    others = f", the others' {np.median(pixels[~missed]):.0f}" if not missed.all() else ""
    return f"{text}{np.median(pixels[missed]):.0f} pixels{others}."


def augmentation_text(train: Mapping[str, Any]) -> str:
    """Return how far the training crops were changed."""
    gamma, gain = ("–".join(map(str, train[name])) for name in ("gamma", "gain"))
    return (
        f"gamma was {gamma}, brightness {gain}, noise up to {train['noise']:g} grey levels and rotation up to "
        f"{train['rotation']:g}° either way; nothing was blurred or encoded again"
    )


def parity_text(parity: Mapping[str, Any]) -> str:
    """Return how far ONNX Runtime is from torch."""
    rows = [
        ("test images compared", parity["images"]),
        ("share of pixels whose mask differs", f"{parity['differing_mask_pixels']:.2g}"),
        ("share of pixels whose type differs", f"{parity['differing_type_pixels']:.2g}"),
        ("largest difference of a probability, of 255", parity["grey_levels"]),
        ("Dice of torch", f"{parity['dice_torch']:.6f}"),
        ("Dice of ONNX Runtime", f"{parity['dice_onnxruntime']:.6f}"),
        ("difference of the two", f"{parity['dice_difference']:.2g}"),
    ]
    return table(["", ""], rows)


def precisions_text(found: Mapping[str, Any], types: Sequence[str]) -> str:
    """Return what each precision finds on the test part, and what it costs; found: export/precisions.json."""
    precisions = [name for name in found if name != "served"]
    served = {name: [kind for kind, chosen in found["served"].items() if chosen == name] for name in precisions}
    parts = {name: found[name].get("test") or found[name]["test_leaky"] for name in precisions}
    rows: dict[str, list[str]] = {
        "served on": [", ".join(f"{kind.upper()}s" for kind in served[name]) or "–" for name in precisions],
        "megabytes": [f"{found[name]['bytes'] / 1e6:.1f}" for name in precisions],
        "times as fast on one core": [str(found[name].get("speed_up", "–")) for name in precisions],
        "alarm score": [str(found[name]["operating_point"]["alarm_score"]) for name in precisions],
        "threshold": [str(found[name]["operating_point"]["threshold"]) for name in precisions],
    }
    figures = {name: flat(parts[name]) for name in precisions}
    words = {name: text for name, text in headline(types).items() if name in figures["fp32"]}
    rows |= {text: [_figure(figures[name].get(figure)) for name in precisions] for figure, text in words.items()}
    return table(["on the test part", *precisions], [[name, *values] for name, values in rows.items()])


def provenance_text(configuration: Mapping[str, Any]) -> str:
    """Return where the weights come from."""
    machine = configuration["machine"]
    rows = [
        ("commit", f"`{configuration['commit']}`{', with changes that were not committed' * configuration['dirty']}"),
        ("seed", configuration["seed"]),
        ("epochs", configuration["train"]["epochs"]),
        ("seconds of training", configuration["seconds"]),
        ("device", f"{machine['device']}, {machine['threads']} threads, {machine['processor']}"),
        ("software", f"Python {machine['python']}, torch {machine['torch']}"),
    ]
    return table(["", ""], rows)
