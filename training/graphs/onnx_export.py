"""The served function as an ONNX graph with symbolic batch, height and width.

Tracing runs in a separate process (`trace`), which can be stopped: the exporter's shape solver may run for minutes, and
for some decoders for ever.
"""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import onnx

from training.errors import ExportError

TRACE = "training.graphs.trace"


def export_graph(path: Path, *, timeout_s: int, project: Path = Path()) -> onnx.ModelProto:
    """Export the network of the project's models/ to `path`, and return the graph.

    Raises: ExportError, when the exporter fails or takes longer than `timeout_s`.
    """
    print(f"torch traces the network: a few minutes, at most {timeout_s / 60:.0f}")  # noqa: T201
    try:
        subprocess.run([sys.executable, "-m", TRACE, str(path.resolve()), str(project)], timeout=timeout_s, check=True)
    except subprocess.TimeoutExpired:
        raise ExportError(
            f"torch's shape solver was stopped after {timeout_s} s: raise export.shape_solver_timeout_s, or choose "
            "another decoder"
        ) from None
    except subprocess.CalledProcessError as error:
        raise ExportError(
            f"torch could not export the network (status {error.returncode}): its message is above"
        ) from None
    graph = tidied(onnx.load(path))
    onnx.save(graph, path)
    return graph


def tidied(graph: onnx.ModelProto) -> onnx.ModelProto:
    """Remove torch's notes on each node, and name the nodes after their operators: conv_0, conv_1 and so on.

    The notes contain source lines with paths of the exporting machine, and torch's names change with every export.
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
