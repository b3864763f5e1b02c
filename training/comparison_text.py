"""The report's comparisons with what others published, in Markdown."""

import textwrap
from collections.abc import Mapping
from typing import Any

from tiles import DEFECT_TYPES
from training.markdown import table

PUBLISHED = (
    ("iterative/magnetic-tiles-defect", "Dice 0.772, IoU 0.628; a later experiment 0.912 / 0.838"),
    ("devvv27, EfficientNetV2-S U-Net, 29.6 M parameters", "Dice 0.916, IoU 0.845"),
    ("DeepLabV3+ (Xception, 55.9 M); DDRNet (5.7 M), by the ESNet paper, 2025", "mIoU 77.1; 75.3"),
)


def leaky_text(leaky: Mapping[str, Any]) -> str:
    """Return the section of the literature's protocols."""
    run = leaky["run"]
    certain = leaky["without_doubtful"]
    protocols = {
        "centre_crop": ("(a) defective images, 224 centre crop, masks > 0", ": ".join(PUBLISHED[0])),
        "stretched": ("(b) with Free, both sides resized to 256", ": ".join(PUBLISHED[1])),
        "native_with_free": ("(b) with Free, at native size", ""),
    }
    rows = [
        [words, overlap_text(leaky[name]), overlap_text(certain[name]), published]
        for name, (words, published) in protocols.items()
    ]
    classes = f"{leaky['mean_iou_with_background']:.1%} with background, {leaky['mean_iou']:.1%} without"
    rows.append(["(c) six classes, mean IoU, pixels pooled", classes, "", ": ".join(PUBLISHED[2])])
    return f"""## Leaky: as in the literature

A random split of all images: 60 % train, 20 % choose the operating point, 20 % test. 98 % of the test images have a
sibling in training, another exposure of the same tile: these figures say how well a network remembers a tile, and stand
here only because every published figure was made so. As it pays to remember, this network alone was trained for
{run["train"]["epochs"]} epochs. Seed {run["seed"]}, commit {run["commit"][:12]}, {run["seconds"] / 60:.0f} min.

{table(["protocol", "ours", "… without the doubtful labels", "published"], rows)}

Where these still differ from the publications: the images drawn are not theirs; (a) they trained on defective images
alone; (b) they drew augmented copies before the split; (c) how their mean IoU treats the background is not stated."""


def overlap_text(found: Mapping[str, Any]) -> str:
    """Return Dice and IoU with the number of images."""
    return f"Dice {found['dice']:.3f}, IoU {found['iou']:.3f} ({found['images']} images)"


BASELINE_TITLE = "## The first public project's recipe on our fold"
NATIVE = {
    "dice_pooled": "Dice, pooled over the defective images",
    **{f"dice_by_type.{kind}": f"Dice of {kind}, pooled" for kind in DEFECT_TYPES},
    "auroc": "defective or not, AUROC",
    "free.any_pixel_share": "Free images with a false alarm",
}
SCORING = "(i) their scoring: defective images, 224 centre crop, masks > 0"


def baseline_text(baselines: Mapping[str, Any]) -> str:
    """Return the section of the first public project's recipe, trained on our folds."""
    introduction = f"""{BASELINE_TITLE}

The recipe of [iterative/magnetic-tiles-defect](https://github.com/iterative/magnetic-tiles-defect) against ours, on the
same images by the same code. Theirs trained on the defective images of the fold's train part, ours on all of it; both
were tested on its test part. (i) is how they score. In (ii) pixels are counted at native size on all images, masks >
127; their prediction of the centre crop is resized back bilinearly, and nothing is found outside of it. Their
operating point is the larger of two classes, without an alarm score; ours was chosen on the validation part."""
    return "\n\n".join([introduction, *(one_baseline_text(name, found) for name, found in baselines.items())])


def one_baseline_text(name: str, found: Mapping[str, Any]) -> str:
    """Return the table of one fold, and what differs from the original there."""
    theirs, ours, run = found["theirs"], found["ours"], found["run"]
    rows = [[SCORING, overlap_text(theirs["centre_crop"]), overlap_text(ours["centre_crop"]) if ours else "–"]]
    rows += [[f"(ii) {words}", native(theirs, key), native(ours, key)] for key, words in NATIVE.items()]
    there = f"{found['ours_run']}, whose table test_centre_crop.csv is counted, too"
    differences = f"""Trained on {run["train_images"]} images, seed {run["seed"]}, commit {run["commit"][:12]},
{run["seconds"] / 60:.0f} min. {weights_text(run)} Where else it differs from the original:
segmentation-models-pytorch's U-Net stands for fastai's DynamicUnet, which has more convolutions in its decoder and
upsamples by learned pixel shuffle; they trained on 80 % of the images, drawn at random with siblings of the test images
among them, and watched a tenth of these."""
    lacking = "" if ours else f"\n\nOurs is missing: it needs {there}; delete an older folder and run it again."
    return f"""### {name}

{table(["figure", "their recipe", "ours"], rows)}{lacking}

{textwrap.fill(differences, 120, break_on_hyphens=False)}"""


def native(scorings: Mapping[str, Any] | None, key: str) -> str:
    """Return a figure by its nested name; a dash where it is not there."""
    found: Any = scorings and scorings["native"]
    for name in key.split("."):
        found = found.get(name) if found else None
    return "–" if found is None else f"{found:.3f}"


def weights_text(run: Mapping[str, Any]) -> str:
    """Say which encoder it was and what its weights began as."""
    if not run["encoder_weights"]:
        return (
            f"**The encoder began with random weights**, theirs with ImageNet's ({run['weights_missing']}): so all "
            "layers learn at the decoder's rate and none is frozen. The recipe counts on pretrained weights; without "
            "them this table says little about it, and is no fair comparison."
        )
    if run["encoder"] != run["recipe"]["encoder"]:
        return (
            f"**The encoder is `{run['encoder']}`**, ours, in place of `{run['recipe']['encoder']}`, whose ImageNet "
            f"weights were {run['weights_missing']}. Both recipes so began with the same pretrained encoder: this "
            "compares all the rest of them."
        )
    return "The encoder began with ImageNet weights, as theirs."
