"""What the reported figures are called. Other lists choose figures by name and take their words from here."""

from collections.abc import Sequence

COUNTS = {
    "images": "images",
    "tiles": "tiles that they show",
    "defective_images": "defective images",
    "found_images": "defective images found",
    "free.images": "Free images",
    "free.any_pixel": "Free images with a false alarm",
    "free.over_20_px": "Free images with a false alarm of more than 20 pixels",
}
TILE_WORDS = {
    "defective_tiles": "tiles with a defect",
    "found_tiles": "tiles with a defect that raise an alarm",
    "found_share": "share of tiles with a defect that raise an alarm",
    "sound_tiles": "tiles without a defect",
    "false_alarms": "tiles without a defect that raise an alarm",
    "false_alarm_share": "share of tiles without a defect that raise an alarm",
    "auroc": "defective or not, AUROC",
}
VERDICT_WORDS = {
    "review_share": "share with the verdict `review`",
    "defective_share_of_ok": "share with a defect, of those with the verdict `ok`",
}
OTHER_IMAGES = {  # what the novelty must catch
    "noise": "noise",
    "flat": "flat grey, or one grey running into another",
    "text": "text",
    "screenshots": "screenshots (drawn windows)",
    "textures": "other textures",
    "photographs": "photographs of other things",
    "turned": "tiles turned by 90°",
    "blurred": "tiles blurred with a Gaussian of σ 3",
    "half_size": "tiles at half size",
    "double_size": "tiles at double size",
    "negative": "negatives of tiles",
    "overexposed": "overexposed tiles: half of the pixels white",
    "underexposed": "underexposed tiles: a mean grey value of 20",
}


def headline(types: Sequence[str]) -> dict[str, str]:
    """Return {figure: what it is called}, in the order of the tables. types: the dataset's defect types."""
    return {
        "dice_pooled": "Dice, pooled over the defective images",
        "iou_pooled": "IoU, pooled over the defective images",
        "dice_pooled_with_free": "Dice, pooled over all images",
        "iou_pooled_with_free": "IoU, pooled over all images",
        "dice_image_mean": "Dice, mean over the defective images",
        **{f"dice_by_type.{name}": f"Dice of {name}, pooled" for name in types},
        "dice_type_mean": "Dice, mean of types",
        "auroc": "defective or not, AUROC",
        "average_precision": "defective or not, average precision",
        "type_right_of_found": "type right, of the defective images found",
        "type_macro_f1": "type, macro-F1 over the types",
        "free.any_pixel_share": "share of Free images with a false alarm",
        "free.over_20_px_share": "share of Free images with one of more than 20 pixels",
    }


def figure_text(value: float | None) -> str:
    """Return a figure as the tables show it; a dash if it does not exist, such as the Dice of a type without images."""
    if value is None:
        return "–"
    return str(value) if isinstance(value, int) else f"{value:.3f}"
