"""The check that the exported graph is the evaluated network: both segment every test image, and the results agree."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tiles.operating_point import OperatingPoint
from training.dataset.samples import Sample
from training.errors import ExportError
from training.evaluation.figures import dice_pooled, outcomes_at
from training.evaluation.image_results import result_of
from training.evaluation.predict import Prediction, predict
from training.files import PARITY_FILE
from training.graphs.session import open_session, predict_onnx
from training.network.served import ServedModel
from training.params import ExportParams
from training.progress import progress


@dataclass(frozen=True)
class Parity:
    """How much ONNX Runtime's results differ from torch's, both in float32.

    differing_mask_pixels is a share of all pixels, differing_type_pixels one of the pixels of torch's masks, as only
    these have a type; dice_* are pooled over defective images; grey_levels is the largest difference of the two
    probabilities, 0–255; novelty is that of the two novelties, as a share of torch's.
    """

    images: int
    differing_mask_pixels: float
    differing_type_pixels: float
    grey_levels: int
    novelty: float
    dice_torch: float
    dice_onnxruntime: float

    @property
    def dice_difference(self) -> float:
        """The absolute difference of the two Dice figures."""
        return abs(self.dice_torch - self.dice_onnxruntime)


def measure_parity(segmenter: ServedModel, graph: Path, samples: list[Sample], point: OperatingPoint) -> Parity:
    """Segment every sample in torch and in ONNX Runtime."""
    with progress("parity", 2 * len(samples)):
        torch_predictions = list(predict(segmenter, samples, description="torch"))
        onnx_predictions = predict_onnx(open_session(graph), samples, description="ONNX Runtime")
    return compare(torch_predictions, onnx_predictions, point)


def compare(
    torch_predictions: Sequence[Prediction], onnx_predictions: Sequence[Prediction], point: OperatingPoint
) -> Parity:
    """Compare two predictions of each sample."""
    pairs = list(zip(torch_predictions, onnx_predictions, strict=True))
    pixels = sum(prediction.probability.size for prediction in torch_predictions)
    masks = sum(int((point.mask(a.probability) != point.mask(b.probability)).sum()) for a, b in pairs)
    marked = [point.mask(a.probability) for a, _ in pairs]
    types = sum(int((a.defect_type != b.defect_type)[mask].sum()) for mask, (a, b) in zip(marked, pairs, strict=True))
    return Parity(
        images=len(pairs),
        differing_mask_pixels=masks / pixels,
        differing_type_pixels=types / max(1, sum(int(mask.sum()) for mask in marked)),
        grey_levels=max(int(np.abs(a.probability.astype(int) - b.probability).max()) for a, b in pairs),
        novelty=max(abs(a.novelty - b.novelty) / a.novelty for a, b in pairs),
        dice_torch=_dice(torch_predictions, point),
        dice_onnxruntime=_dice(onnx_predictions, point),
    )


def _dice(predictions: Sequence[Prediction], point: OperatingPoint) -> float:
    return dice_pooled(outcomes_at([result_of(p) for p in predictions if p.sample.mask.any()], point))


def refuse_too_far(parity: Parity, params: ExportParams) -> None:
    """Compare the differences with their limits.

    Raises: ExportError, naming each difference that exceeds its limit.
    """
    limits = {
        "differing_mask_pixels": params.max_differing_mask_pixels,
        "differing_type_pixels": params.max_differing_type_pixels,
        "dice_difference": params.max_dice_difference,
        "grey_levels": params.max_grey_level_difference,
        "novelty": params.max_novelty_difference,
    }
    over = [
        f"{name} is {getattr(parity, name)}, but at most {most} is allowed (export.max_… in params.yaml)"
        for name, most in limits.items()
        if getattr(parity, name) > most
    ]
    if over:
        raise ExportError(
            f"the exported graph is not the evaluated network: {'; '.join(over)}. The old graph is kept, {PARITY_FILE} "
            "has the figures: raise the limit if the difference is acceptable"
        )
