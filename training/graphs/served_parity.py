"""The check that Triton serves the graph that was measured: a real server gives the bytes of ONNX Runtime.

Triton comes from its wheel, which lives in the serving environment and knows no GPU. So it runs as a process of its
own, and only the graph for CPUs is checked.
"""

import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
from tritonclient.http import InferenceServerClient, InferInput, InferRequestedOutput
from tritonclient.utils import InferenceServerException

from host.files import write_whole
from host.ports import free_port
from inference_server.child import child
from inference_server.log import Log
from inference_server.ready import becomes_ready, is_ready
from tiles import pad
from training.dataset.samples import Sample
from training.errors import ExportError
from training.files import CPU_CONFIG_FILE, CPU_GRAPH_FILE, MODEL_FOLDER
from training.graphs.session import open_session, run
from training.graphs.tensors import INPUT, OUTPUTS
from training.params import QuantizeParams
from training.progress import counted, progress

ROOT = Path(__file__).parents[2]
START_S, STOP_S, ANSWER_S = 120, 40, 60
OR_SKIP = "or say in quantize.skip_served_parity why this machine does not check it"


def told_of_skipping(params: QuantizeParams) -> dict[str, str]:
    """Return what the published model tells where the check is skipped: the reason."""
    return {"model.served_parity_skipped": params.skip_served_parity} if params.skip_served_parity else {}


def check_served_parity(
    graph: Path, config: str, samples: Sequence[Sample], params: QuantizeParams
) -> dict[str, str | int]:
    """Compare every byte of both outputs of every sample, and return how many samples there were.

    With a reason to skip the check, return that reason.

    Raises: ExportError, when an image differs, or Triton is missing, refuses the model or does not answer.
    """
    if params.skip_served_parity:
        print(f"Triton's masks are not compared: {params.skip_served_parity}")  # noqa: T201
        return {"skipped": params.skip_served_parity}
    with tempfile.TemporaryDirectory() as folder, progress("served parity", len(samples)):
        differing = _differing(graph, _repository(Path(folder), graph, config), samples)
    if differing:
        raise ExportError(
            f"Triton's masks of {differing} of {len(samples)} test images are not those of ONNX Runtime; nothing was "
            "published. Both environments need one version of onnxruntime: run `make setup`"
        )
    return {"images": len(samples), "differing_images": differing}


def _differing(graph: Path, repository: Path, samples: Sequence[Sample]) -> int:
    """Return for how many samples Triton's bytes differ from ONNX Runtime's."""
    session = open_session(graph)
    with _triton(repository) as address, InferenceServerClient(address, network_timeout=ANSWER_S) as client:
        return sum(
            any((ours != theirs).any() for ours, theirs in zip(run(session, image), _ask(client, image), strict=True))
            for image in (sample.image for sample in counted(samples, "Triton"))
        )


def _repository(folder: Path, graph: Path, config: str) -> Path:
    for file, content in ((CPU_GRAPH_FILE, graph.read_bytes()), (CPU_CONFIG_FILE, config)):
        write_whole(folder / file, content)
    return folder / MODEL_FOLDER.parent


def _ask(client: InferenceServerClient, image: np.ndarray) -> list[np.ndarray]:
    """Return Triton's outputs of one image, both (1, H32, W32) uint8."""
    canvas = pad(image)[np.newaxis]  # (1, 1, H32, W32)
    tensor = InferInput(INPUT, list(canvas.shape), "UINT8")
    tensor.set_data_from_numpy(canvas)
    try:
        answer = client.infer(MODEL_FOLDER.name, [tensor], outputs=[InferRequestedOutput(name) for name in OUTPUTS])
    except InferenceServerException as error:
        raise ExportError(f"Triton did not answer: {error}; nothing was published") from None
    return [answer.as_numpy(name)[0] for name in OUTPUTS]


@contextmanager
def _triton(repository: Path) -> Iterator[str]:
    """Serve a repository until the end of the `with` block; yield host:port of Triton's HTTP interface."""
    ports = {name: str(free_port()) for name in ("TRITON_HTTP_PORT", "TRITON_METRICS_PORT")}
    environment = {**os.environ, "ORT_DISABLE_TELEMETRY": "1", "MODEL_REPOSITORY": str(repository), **ports}
    address = f"127.0.0.1:{ports['TRITON_HTTP_PORT']}"
    command: list[str | Path] = [_serving_python(), "-m", "inference_server"]
    with child(command, grace_s=STOP_S, environment=environment, folder=ROOT, capture=True) as process:
        log = Log(process.output, sys.stderr, live=False)
        ready = partial(is_ready, address, "/v2/health/ready")
        if not becomes_ready("Triton", process, ready, timeout_s=START_S, stop=None):
            process.kill()
            raise ExportError(f"Triton did not start: {log.reason()}; correct that, {OR_SKIP}")
        yield address


def _serving_python() -> Path:
    python = Path(os.environ.get("SERVING_PYTHON", ROOT / ".venv-serving/bin/python"))
    if not python.exists():
        raise ExportError(
            f"{python} does not exist, and Triton runs under it: run `make setup`, set SERVING_PYTHON, {OR_SKIP}"
        )
    return python
