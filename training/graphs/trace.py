"""`python -m training.graphs.trace FILE.onnx PROJECT`: trace the served function of PROJECT/models and write it.

A child process of `onnx_export`; no module imports this one.
"""

import os
import sys
from pathlib import Path

import torch

from tiles import STRIDE
from training.errors import exit_status
from training.graphs.export_modules import with_export_modules
from training.graphs.tensors import INPUT, NOVELTY, OUTPUTS
from training.network.served import ServedModel
from training.network.weights import load_model, load_novelty
from training.params import load_params

EXAMPLE = (2, 1, 8 * STRIDE, 10 * STRIDE)  # (N, 1, H, W); a batch of 2, because the exporter treats 1 as a constant


def _write_graph(path: Path, opset: int) -> None:
    """Write the graph, not yet tidied.

    Source: torch.onnx.export, the exporter on torch.export (dynamo=True).
    """
    network, _ = load_model()
    batch, height, width = (torch.export.Dim(name, min=1) for name in ("batch", "height_32", "width_32"))
    torch.onnx.export(
        with_export_modules(ServedModel(network, load_novelty())),
        (torch.zeros(EXAMPLE, dtype=torch.uint8),),
        path,
        input_names=[INPUT],
        output_names=[*OUTPUTS, NOVELTY],
        opset_version=opset,
        dynamo=True,
        external_data=False,
        verbose=False,
        dynamic_shapes={INPUT: {0: batch, 2: STRIDE * height, 3: STRIDE * width}},
    )


def main() -> None:
    """Write the graph, with its weights, to the path on the command line."""
    path, project = sys.argv[1:]
    opset = load_params().export.opset
    os.chdir(project)
    _write_graph(Path(path), opset)


if __name__ == "__main__":
    sys.exit(exit_status(main))
