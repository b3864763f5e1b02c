"""The rows of the report's tables, from its metrics."""

from collections.abc import Mapping, Sequence
from typing import Any

from studies.differences import difference_rows
from studies.report_reliability import DOUBT, band_rows, limit_rows
from studies.report_tiles import tile_rows, with_interval
from studies.report_verdicts import if_defects_were_rare, rate_rows, verdict_rows
from tiles import DEFECT_TYPES
from training.evaluation.flat import flat
from training.evaluation.other_images import EACH
from training.evaluation.perturbations import PERTURBATIONS
from training.reports.figure_words import figure_text, headline
from training.reports.novelty import novelty_rows
from training.reports.robustness import Curves, level_text

PUBLISHED = {  # by protocol: who published what
    "centre_crop": "iterative/magnetic-tiles-defect: Dice 0.772, IoU 0.628; a later experiment 0.912 / 0.838",
    "stretched": "devvv27, EfficientNetV2-S U-Net, 29.6 M parameters: Dice 0.916, IoU 0.845",
    "classes": "DeepLabV3+ (Xception, 55.9 M); DDRNet (5.7 M), reported in the ESNet paper, 2025: mIoU 77.1; 75.3",
}
PROTOCOLS = {
    "centre_crop": "(a) defective images, 224 centre crop, masks > 0",
    "stretched": "(b) with Free, both sides resized to 256",
    "native_with_free": "(b) with Free, at native size",
}
CONSENSUS_FIGURES = ("dice_pooled", *(f"dice_by_type.{name}" for name in DEFECT_TYPES), "dice_type_mean")
THEIR_SCORING = "(i) their scoring: defective images, 224 centre crop, masks > 0"
NATIVE_FIGURES = ("dice_pooled", *(f"dice_by_type.{name}" for name in DEFECT_TYPES), "auroc", "free.any_pixel_share")


def report_values(metrics: Mapping[str, Any], names: Sequence[str], curves: Curves) -> dict[str, Any]:
    """Return the template's variables. names: of all runs that belong in the report."""
    *folds, random_name, baseline_name = names
    found, confirmation, leaky = (metrics[name] for name in ("honest", "confirmation", "leaky"))
    return {
        "image_count": found["all"]["images"]["value"],
        "empty_masks": empty_masks(found["all"]),
        "certain_count": found["without_doubtful"]["images"]["value"],
        "honest": _honest_rows(found),
        "agreed_count": found["consensus"]["defective_images"]["value"] if found["consensus"] else 0,
        "defective_count": found["all"]["defective_images"]["value"],
        "consensus": _consensus_rows(found["consensus"]) if found["consensus"] else [],
        "confirmation": confirmation,
        "trained": trained_text(list(confirmation["runs"]), len(folds)) if confirmation else "",
        "confirmation_rows": difference_rows(confirmation["figures"]) if confirmation else [],
        "confirmation_tiles": _confirmation_tiles(confirmation["tiles"]) if confirmation else [],
        "folds": _fold_rows(found),
        "tiles": tile_rows(found["tiles"]),
        "tile_folds": found["tiles"]["folds"],
        "int8": difference_rows(found["int8"]) if found["int8"] else [],
        "int8_refused": [refused_text(name, lost) for name, lost in found["int8_refused"].items()],
        "verdicts": verdict_rows(found["verdicts"]),
        "rare": if_defects_were_rare(found["tiles"]["all"]),
        "rates": rate_rows(found["verdicts"]),
        "bands": band_rows(found["reliability"]),
        "doubt": DOUBT,
        "each_kind": EACH,
        "limits": limit_rows(found["reliability"]),
        "novelty": found["novelty"]["all"],
        "novelty_rows": novelty_rows(found["novelty"]["all"]),
        "novelty_folds": list(found["novelty"]["folds"]),
        "fold_count": len(folds),
        "commit_text": commit_text,
        "missing_folds": [name for name in folds if name not in found["runs"]],
        "leaky": leaky,
        "protocols": _protocol_rows(leaky) if leaky else [],
        "random_name": random_name,
        "baseline_name": baseline_name,
        "baselines": {name: each | {"rows": _baseline_rows(each)} for name, each in metrics["baseline"].items()},
        "curves": [_curve(name, rows) for name, rows in curves.items()],
    }


def _honest_rows(found: Mapping[str, Any]) -> list[list[str]]:
    return [
        [words, *(with_interval(found[which].get(name)) for which in ("all", "without_doubtful"))]
        for name, words in headline(DEFECT_TYPES).items()
    ]


def _consensus_rows(found: Mapping[str, Any]) -> list[list[str]]:
    words = headline(DEFECT_TYPES)
    return [[words[name], with_interval(found[name])] for name in CONSENSUS_FIGURES if name in found]


def _confirmation_tiles(found: Mapping[str, Any]) -> list[list[str]]:
    columns = (tile_rows({"all": found[split]}) for split in ("honest", "other"))
    return [[words, first, second] for (words, first), (_, second) in zip(*columns, strict=True)]


def commit_text(run: Mapping[str, Any]) -> str:
    """Return the commit that a run began at, and whether the sources differed from it."""
    return f"{run['commit'][:12]}{', changed' if run['dirty'] else ''}"


def refused_text(run: str, lost: Mapping[str, float]) -> str:
    """Return the losses for which the pipeline would not serve a run's int8 graph."""
    return f"{run}: {', '.join(f'{name} {loss:.4f}' for name, loss in lost.items())}"


def empty_masks(found: Mapping[str, Any]) -> int:
    """Return the number of images that are filed under a defect type and have an empty mask."""
    images, defective, free = (found[name]["value"] for name in ("images", "defective_images", "free.images"))
    return int(images - defective - free)


def trained_text(names: Sequence[str], folds: int) -> str:
    """Return which of another split's folds were trained."""
    if len(names) == folds:
        return "All were"
    *others, last = names
    return f"Of these, {', '.join(others)} and {last} were" if others else f"Of these, {last} was"


def _fold_rows(found: Mapping[str, Any]) -> list[list[Any]]:
    return [
        [
            name,
            run["operating_point"]["threshold"],
            run["operating_point"]["alarm_score"],
            *(f"{found['folds'][name][key]:.3f}" for key in ("dice_pooled", "dice_type_mean", "auroc")),
            f"{found['folds'][name]['free']['any_pixel_share']:.1%}",
            run["seed"],
            commit_text(run),
        ]
        for name, run in found["runs"].items()
    ]


def _protocol_rows(leaky: Mapping[str, Any]) -> list[list[str]]:
    rows = [
        [words, _overlap(leaky[name]), _overlap(leaky["without_doubtful"][name]), PUBLISHED.get(name, "")]
        for name, words in PROTOCOLS.items()
    ]
    classes = f"{leaky['mean_iou_with_background']:.1%} with background, {leaky['mean_iou']:.1%} without"
    return [*rows, ["(c) six classes, mean IoU, pixels pooled", classes, "", PUBLISHED["classes"]]]


def _overlap(found: Mapping[str, Any]) -> str:
    return f"Dice {found['dice']:.3f}, IoU {found['iou']:.3f} ({found['images']} images)"


def _baseline_rows(found: Mapping[str, Any]) -> list[list[str]]:
    both, words = (found["theirs"], found["ours"]), headline(DEFECT_TYPES)
    scored = [THEIR_SCORING, *(_overlap(each["centre_crop"]) if each else "–" for each in both)]
    return [scored, *([f"(ii) {words[key]}", *(_native(each, key) for each in both)] for key in NATIVE_FIGURES)]


def _native(scorings: Mapping[str, Any] | None, key: str) -> str:
    return figure_text(flat(scorings["native"]).get(key) if scorings else None)


def _curve(name: str, rows: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """Return title, levels and values of a Mermaid chart."""
    return {
        "title": PERTURBATIONS[name].words,
        "levels": ", ".join(f'"{level_text(name, row["level"])}"' for row in rows),
        **{key: ", ".join(f"{float(row[key]):.3f}" for row in rows) for key in ("dice_pooled", "dice_type_mean")},
    }
