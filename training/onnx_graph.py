"""The deployed network as an ONNX graph with symbolic batch, height and width.

    python -m training.onnx_graph FILE.onnx

runs in a process of its own, because the exporter's shape solver may run for minutes (for some decoders without an
end) and is then stopped from outside.
"""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import onnx
import torch

from tiles import STRIDE
from training.checkpoint import load_model
from training.errors import ExportError, exit_status
from training.exported import ExportedSegmenter
from training.params import load_params

EXAMPLE = (2, 1, 8 * STRIDE, 10 * STRIDE)  # a batch of 2, because the exporter takes 1 for a constant
INPUT, OUTPUTS = "image", ("probability", "type")


def export_graph(path: Path, *, timeout_s: int) -> onnx.ModelProto:
    """Export the network of models/ to `path` and return the graph, tidied.

    Raises: ExportError, when the exporter fails or takes longer than `timeout_s`.
    """
    try:
        subprocess.run([sys.executable, "-m", __name__, str(path)], timeout=timeout_s, check=True)
    except subprocess.TimeoutExpired:
        raise ExportError(
            f"torch's shape solver was stopped after {timeout_s} s: raise export.shape_solver_timeout_s, or choose "
            "another decoder"
        ) from None
    except subprocess.CalledProcessError as error:
        raise ExportError(
            f"torch could not export the network (status {error.returncode}): its words stand above"
        ) from None
    return tidied(onnx.load(path))


def tidied(graph: onnx.ModelProto) -> onnx.ModelProto:
    """Remove what torch notes beside each node, and name nodes by what they do: conv_0, conv_1, … in their order.

    Torch notes source lines, with the paths of the machine that exported, and its names change from export to export.
    """
    values = (*graph.graph.value_info, *graph.graph.input, *graph.graph.output, *graph.graph.initializer)
    for noted in (graph.graph, *graph.graph.node, *values):
        noted.ClearField("metadata_props")
        noted.ClearField("doc_string")
    counts: Counter[str] = Counter()
    for node in graph.graph.node:
        kind = node.op_type.lower()
        node.name = f"{kind}_{counts[kind]}"
        counts[kind] += 1
    return graph


def write_graph(path: Path, opset: int) -> None:
    """Trace the network in its exported form and write the graph, weights included.

    Source: torch.onnx.export, the exporter on torch.export (dynamo=True).
    """
    network, _ = load_model()
    batch, height, width = (torch.export.Dim(name, min=1) for name in ("batch", "height_32", "width_32"))
    torch.onnx.export(
        ExportedSegmenter(network).eval(),
        (torch.zeros(EXAMPLE, dtype=torch.uint8),),
        path,
        input_names=[INPUT],
        output_names=list(OUTPUTS),
        opset_version=opset,
        dynamo=True,
        external_data=False,
        verbose=False,
        dynamic_shapes={INPUT: {0: batch, 2: STRIDE * height, 3: STRIDE * width}},
    )


def main() -> None:
    """Write the graph to the path on the command line."""
    write_graph(Path(sys.argv[1]), load_params().export.opset)


if __name__ == "__main__":
    sys.exit(exit_status(main))
