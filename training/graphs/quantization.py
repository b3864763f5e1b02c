"""The exported graph in other precisions: int8 for CPUs, fp16 for GPUs. Inputs and outputs stay uint8.

Source: ONNX Runtime's static quantization (onnxruntime.quantization) and its float16 converter.
"""

import re
import tempfile
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

import onnx
from onnx import TensorProto
from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from onnxruntime.transformers.float16 import convert_float_to_float16

from training.dataset.samples import Sample
from training.errors import ExportError
from training.graphs.calibration import CalibrationImages
from training.graphs.doubling import round_before_copying, with_copied_places
from training.graphs.tensors import NOVELTY, OUTPUTS
from training.params import QuantizeParams

# Activations are quantized together with the convolution before them, and operators that only move numbers keep int8.
# What follows the head stays in float32: its exponentials need more than 256 steps. So does the measure of novelty.
ACTIVATIONS = ("Clip", "Relu")
QUANTIZED = ("Conv", *ACTIVATIONS, "Add", "Concat", "Reshape", "Transpose")
HISTOGRAM_SIDE = 256  # pixels; most images are a little wider or higher
FORMATS = {"QDQ": QuantFormat.QDQ, "QOperator": QuantFormat.QOperator}
METHODS = {
    "minmax": CalibrationMethod.MinMax,
    "percentile": CalibrationMethod.Percentile,
    "entropy": CalibrationMethod.Entropy,
}


def to_int8(source: Path, target: Path, images: Sequence[Sample], params: QuantizeParams) -> onnx.ModelProto:
    """Quantize a graph: unsigned activations, signed weights with a scale for each channel ("u8s8").

    Raises: ExportError, when a pattern of quantize.excluded_nodes matches nothing.
    """
    graph = with_copied_places(onnx.load(source))
    excluded = [*_beside_the_network(graph), *_matching(graph, params.excluded_nodes)]
    with tempfile.TemporaryDirectory() as folder:
        copying, prepared = Path(folder, "copying.onnx"), Path(folder, "prepared.onnx")
        onnx.save(graph, copying)
        quant_pre_process(copying, prepared, skip_symbolic_shape=True)  # torch's shapes are symbolic already
        quantize_static(
            prepared,
            target,
            CalibrationImages(images, side=None if params.calibration_method == "minmax" else HISTOGRAM_SIDE),
            quant_format=FORMATS[params.format],
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
            reduce_range=params.reduce_range,
            op_types_to_quantize=list(QUANTIZED),
            nodes_to_exclude=excluded,
            calibrate_method=METHODS[params.calibration_method],
        )
    quantized = onnx.load(target)
    round_before_copying(quantized)
    onnx.save(quantized, target)
    return quantized


def to_fp16(source: Path, target: Path) -> onnx.ModelProto:
    """Convert the network's weights and arithmetic to float16; what follows the head stays in float32."""
    graph = onnx.load(source)
    converted: onnx.ModelProto = convert_float_to_float16(
        graph, keep_io_types=True, node_block_list=_beside_the_network(graph)
    )
    _remove_round_trips(converted.graph)
    onnx.save(converted, target)
    return converted


def _remove_round_trips(graph: onnx.GraphProto) -> None:
    """Let float32 nodes hand float32 to one another: the converter casts what is between them to float16 and back."""
    outputs = {output.name for output in graph.output}
    down = {node.output[0]: node.input[0] for node in graph.node if _casts_to(node, TensorProto.FLOAT16)}
    up = [node for node in graph.node if _casts_to(node, TensorProto.FLOAT) and node.output[0] not in outputs]
    trips = {node.output[0]: down[node.input[0]] for node in up if node.input[0] in down}
    for node in graph.node:
        for place, name in enumerate(node.input):
            node.input[place] = trips.get(name, name)
    for node in [node for node in graph.node if node.output[0] in trips]:
        graph.node.remove(node)
    read = {name for node in graph.node for name in node.input} | outputs
    for node in [node for node in graph.node if node.output[0] in down and node.output[0] not in read]:
        graph.node.remove(node)


def _casts_to(node: onnx.NodeProto, kind: int) -> bool:
    return node.op_type == "Cast" and any(each.name == "to" and each.i == kind for each in node.attribute)


def _beside_the_network(graph: onnx.ModelProto) -> list[str]:
    """Return the names of the nodes that keep float32: those after the head, and those that only `novelty` needs."""
    return sorted({*_after_the_head(graph), *_only_for_novelty(graph)})


def _only_for_novelty(graph: onnx.ModelProto) -> set[str]:
    segmentation, novelty = _needed_for(graph, OUTPUTS), _needed_for(graph, [NOVELTY])
    return novelty - segmentation


def _needed_for(graph: onnx.ModelProto, outputs: Sequence[str]) -> set[str]:
    """Return the names of the nodes from which outputs are computed; a graph lists nodes in running order."""
    wanted, names = set(outputs), set()
    for node in reversed(graph.graph.node):
        if wanted & {*node.output}:
            wanted |= {*node.input}
            names.add(node.name)
    return names


def _after_the_head(graph: onnx.ModelProto) -> list[str]:
    """Return the names of the nodes after the last convolution; a graph lists nodes in running order."""
    nodes = list(graph.graph.node)
    head = max(place for place, node in enumerate(nodes) if node.op_type == "Conv")
    return [node.name for node in nodes[head + 1 :]]


def _matching(graph: onnx.ModelProto, patterns: Sequence[str]) -> list[str]:
    """Return the nodes that the patterns match, and the activations after them, which need the same precision."""
    nodes = list(graph.graph.node)
    found = {pattern: [node for node in nodes if re.fullmatch(pattern, node.name)] for pattern in patterns}
    for pattern, matches in found.items():
        if not matches:
            raise ExportError(
                f"quantize.excluded_nodes: {pattern!r} matches no node of the graph, such as {nodes[0].name!r}"
            )
    outputs = {output for matches in found.values() for node in matches for output in node.output}
    behind = [node for node in nodes if node.op_type in ACTIVATIONS and node.input[0] in outputs]
    return [node.name for node in (*chain.from_iterable(found.values()), *behind)]
