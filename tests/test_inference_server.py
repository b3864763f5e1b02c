"""Triton from the wheel serves a model repository as NVIDIA's image does, and closes what the proxy does not need."""

import hashlib
import json
import socket
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tritonclient.http
from conftest import StartTriton, Triton, descendants
from doubler import write_model


@pytest.fixture(scope="module")
def doubler(start_triton: StartTriton, tmp_path_factory: pytest.TempPathFactory) -> Triton:
    return start_triton(write_model(tmp_path_factory.mktemp("models")), MODEL_INSTANCES="1")


def infer(triton: Triton, model: str, inputs: dict[str, np.ndarray], outputs: list[str]) -> list[np.ndarray]:
    with tritonclient.http.InferenceServerClient(triton.url) as client:
        sent = []
        for name, array in inputs.items():
            datatype = {"float32": "FP32", "uint8": "UINT8"}[str(array.dtype)]
            sent.append(tritonclient.http.InferInput(name, array.shape, datatype))
            sent[-1].set_data_from_numpy(array)
        answer = client.infer(model, sent, outputs=[tritonclient.http.InferRequestedOutput(name) for name in outputs])
        return [answer.as_numpy(name) for name in outputs]


def double(triton: Triton, row: np.ndarray) -> np.ndarray:
    return infer(triton, "doubler", {"x": row[np.newaxis]}, ["y"])[0][0]


def status_of(url: str, body: bytes | None = None) -> int:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body), timeout=10) as response:
            return response.status
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def test_the_published_model_answers_a_batch_as_it_answers_its_singles(triton: Triton) -> None:
    canvases = np.random.default_rng(0).integers(0, 256, (3, 1, 96, 64), np.uint8)
    names = ["probability", "type"]

    singles = [infer(triton, "segmenter", {"image": canvas[np.newaxis]}, names) for canvas in canvases]
    batch = infer(triton, "segmenter", {"image": canvases}, names)

    for place, name in enumerate(names):
        expected = np.concatenate([single[place] for single in singles])
        assert np.array_equal(expected, batch[place]), name


def test_requests_that_wait_together_run_as_one_batch_and_each_gets_its_own_rows(doubler: Triton) -> None:
    before = batches_of_four(doubler)
    rows = [np.full(6, n, np.float32) for n in range(4)]
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda row: double(doubler, row), rows))

    assert [row.tolist() for row in [2 * row for row in rows]] == [answer.tolist() for answer in answers]
    assert before + 1 == batches_of_four(doubler)


def batches_of_four(triton: Triton) -> int:
    with urllib.request.urlopen(f"http://{triton.url}/v2/models/doubler/stats", timeout=10) as response:
        sizes = json.load(response)["model_stats"][0]["batch_stats"]
    return sum(size["compute_infer"]["count"] for size in sizes if size["batch_size"] == 4)


def test_an_output_that_nobody_asked_for_is_not_sent(triton: Triton) -> None:
    canvas = np.zeros((1, 1, 32, 32), np.uint8)

    assert (1, 1, 32, 32) == infer(triton, "segmenter", {"image": canvas}, ["probability"])[0].shape


def test_a_failing_graph_answers_with_the_error_and_the_server_serves_on(doubler: Triton) -> None:
    batch_of_four = np.zeros((4, 5), np.float32)  # full, so that it does not wait for others

    with pytest.raises(tritonclient.utils.InferenceServerException, match="Reshape"):
        infer(doubler, "doubler", {"x": batch_of_four}, ["y"])

    assert [[2.0, 2.0]] * 4 == infer(doubler, "doubler", {"x": np.ones((4, 2), np.float32)}, ["y"])[0].tolist()


def test_metrics_are_served(doubler: Triton) -> None:
    assert 200 == status_of(doubler.metrics_url)


def test_onnx_runtime_is_told_to_report_to_nobody(doubler: Triton) -> None:
    environments = [Path(f"/proc/{pid}/environ").read_text().split("\0") for pid in descendants(doubler.pid)]

    assert len(environments) > 1, "tritonserver and a stub"
    assert all("ORT_DISABLE_TELEMETRY=1" in environment for environment in environments)


@pytest.mark.parametrize(
    "header",
    [
        b"closed: no\r\n header", b"closed: no\nheader", b"closed: no\n header", b"closed: no\\nheader",
        b"closed: no%0aheader", b"closed: noheader", b"closed: no", b"closed:",
    ],
)  # fmt: skip
def test_what_stands_in_the_command_line_opens_no_closed_interface(doubler: Triton, header: bytes) -> None:
    """Pass figure: 0 of 8 spellings of the published value are answered with 200."""
    host, port = doubler.url.split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(b"GET /v2/logging HTTP/1.1\r\nHost: triton\r\n" + header + b"\r\n\r\n")
        answer = connection.recv(1000)

    assert answer == b"" or b" 403 " in answer.splitlines()[0], answer


def test_instances_and_threads_are_written_into_a_copy_and_the_repository_stays_as_it_is(
    start_triton: StartTriton, tmp_path: Path
) -> None:
    repository, temporary = write_model(tmp_path / "models"), tmp_path / "temporary"
    temporary.mkdir()
    before = digests(repository)

    triton = start_triton(repository, MODEL_INSTANCES="2", MODEL_THREADS="3", TMPDIR=str(temporary))
    with urllib.request.urlopen(f"http://{triton.url}/v2/models/doubler/config", timeout=10) as response:
        config = json.load(response)

    assert (2, "KIND_CPU") == (config["instance_group"][0]["count"], config["instance_group"][0]["kind"])
    assert "3" == config["parameters"]["intra_op_thread_count"]["string_value"]
    assert {"0o700", "0o600"} == {oct(path.stat().st_mode & 0o777) for path in temporary.iterdir()}  # folder and lock
    assert 0 == triton.stop()
    assert before == digests(repository)
    assert [] == list(temporary.iterdir())


def digests(folder: Path) -> dict[str, str]:
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*") if path.is_file()}
