"""May a model be published? It reaches the minima of params.yaml on the test images, or it is not worse than the last.

The last model is compared only if the files of its images and masks were the same: otherwise it may know some of the
test images. Another split of them, or another data_load.mask_above, is not noticed. A model that does neither is
published only with a reason, quantize.publish_anyway, which then travels with it.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx
from google.protobuf.message import DecodeError
from onnxruntime.capi import onnxruntime_pybind11_state as onnxruntime_errors

from tiles.operating_point import OperatingPoint
from training.dataset.samples import Sample
from training.errors import ExportError
from training.evaluation.differences import differences
from training.evaluation.figures import Outcomes, outcomes_at
from training.evaluation.flat import tested_part
from training.evaluation.image_results import result_of
from training.files import CPU_GRAPH_FILE, GPU_GRAPH_FILE
from training.graphs.session import open_session, predict_onnx
from training.params import QuantizeParams

PUBLISHED = {"cpu": CPU_GRAPH_FILE, "gpu": GPU_GRAPH_FILE}
SAMPLES, SEED = 500, 20  # sets of tiles, drawn alike for both models
# What a file that is no graph, is damaged or has other tensors raises
UNREADABLE = (
    OSError, DecodeError, KeyError, ValueError, onnxruntime_errors.Fail, onnxruntime_errors.InvalidArgument,
    onnxruntime_errors.InvalidGraph, onnxruntime_errors.InvalidProtobuf, onnxruntime_errors.NotImplemented,
)  # fmt: skip


def admit(
    graphs: Mapping[str, Path],
    served: Mapping[str, str],
    found: Mapping[str, Any],
    test: Sequence[Sample],
    params: QuantizeParams,
    *,
    data_digest: str,
) -> dict[str, str]:
    """Return what the published model tells about its admission: nothing, or the reason of an override.

    graphs: of each precision. served: the precision on each kind of processor, `cpu` and `gpu`. found: the figures of
    each precision, as precisions.compare_precisions gives them. test: the test images. data_digest: of the images and
    masks that the model was trained on.

    Raises: ExportError, when a served precision is not admitted and there is no reason to publish it anyway.
    """
    problems = [
        problem
        for processor, precision in served.items()
        for problem in _problems(
            graphs[precision], PUBLISHED[processor], found[precision], test, params, data_digest=data_digest
        )
    ]
    if not problems:
        return {}
    told = "\n".join(f"  {problem}" for problem in dict.fromkeys(problems))
    if params.publish_anyway:
        print(f"published although\n{told}\nbecause: {params.publish_anyway}")  # noqa: T201
        return {"model.published_anyway": params.publish_anyway}
    raise ExportError(
        f"not published, model_repository/ stays as it was:\n{told}\n"
        "train a better model, lower quantize.min_dice_pooled and quantize.min_auroc to what your task needs, or state "
        "in quantize.publish_anyway why this one is published"
    )


def _problems(
    graph: Path,
    published: Path,
    figures: Mapping[str, Any],
    test: Sequence[Sample],
    params: QuantizeParams,
    *,
    data_digest: str,
) -> list[str]:
    """Return what a graph misses; nothing where it reaches the minima or is not worse than the published one."""
    measured = figures[tested_part(figures)]
    minima = {"dice_pooled": params.min_dice_pooled, "auroc": params.min_auroc}
    missed = {
        name: f"{graph.stem}: {name} of the test images is {measured[name]:.4f}, at least {least}"
        for name, least in minima.items()
        if not _reaches(measured, name, least)
    }
    if not missed:
        return []
    theirs = _published_outcomes(published, test, data_digest)
    if isinstance(theirs, str):
        return [*missed.values(), f"{published}: {theirs}"]
    ours = _outcomes(graph, OperatingPoint(**figures["operating_point"]), test)
    both = {"published": theirs, "new": ours}
    compared = differences(both, tuple(minima), samples=SAMPLES, seed=SEED)["new"]
    worse = [
        f"{graph.stem}: {name} differs from the published model's by {low:+.4f} to {high:+.4f} (95 % interval)"
        for name, (low, high) in compared.items()
        if high < 0
    ]
    unknown = [
        f"{graph.stem}: one tile alone decides {name}, so it cannot be compared with the published model's"
        for name in missed
        if name not in compared
    ]
    return [*missed.values(), *worse, *unknown] if worse or unknown else []


def _reaches(measured: Mapping[str, Any], name: str, least: float) -> bool:
    """If all images are defective, or none is, there is no AUROC and no minimum for it. NaN reaches no minimum."""
    return name not in measured or bool(measured[name] >= least)


def _published_outcomes(published: Path, test: Sequence[Sample], data_digest: str) -> Outcomes | str:
    """Measure the published graph at its own operating point, or say why it cannot be compared."""
    nothing = "no published model to compare with"
    try:
        told = {entry.key: entry.value for entry in onnx.load(published).metadata_props}
        if told["model.types"] != ",".join(test[0].types):
            return nothing
        if told["model.data_digest"] != data_digest:
            return f"{nothing}: it was trained on other data, perhaps on these test images"
        point = OperatingPoint(int(told["model.threshold"]), float(told["model.alarm_score"]))
        return _outcomes(published, point, test)
    except UNREADABLE:
        return nothing


def _outcomes(graph: Path, point: OperatingPoint, test: Sequence[Sample]) -> Outcomes:
    predictions = predict_onnx(open_session(graph), test, description=f"{graph.stem} test")
    return outcomes_at([result_of(prediction) for prediction in predictions], point)
