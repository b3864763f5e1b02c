"""Triton's published holes, as SECURITY.md lists them: what they need does not reach it from outside.

Triton 24.10, which the wheel brings, has the holes still. So each test is of a way to them that is closed here.
"""

import json
import re
from pathlib import Path

import pytest
from proxy_servers import FakeTriton, png, running_proxy, texture
from test_inference_server import status_of

from tests.conftest import ROOT
from tiles.golden import golden_canvas

BODY = png(texture(32, 40))
HEADERS_OF_OURS = {
    "Accept", "Accept-Encoding", "Content-Length", "Content-Type", "Host", "Inference-Header-Content-Length",
    "User-Agent", "X-Request-ID",
}  # fmt: skip


class RecordingTriton(FakeTriton):
    """Keeps what it is sent on behalf of a client."""

    def __init__(self):
        super().__init__()
        self.requests = []

    async def infer(self, request):
        body = await request.read()
        if golden_canvas().tobytes() not in body:  # not one of the proxy's checks
            self.requests.append((dict(request.headers), request.path_qs, body))
        return await super().infer(request)


async def chunked():
    for start in range(0, len(BODY), 7):
        yield BODY[start : start + 7]


async def reaches_triton(**request):
    """What Triton gets where a client sends this."""
    headers = {"Content-Type": "image/png"} | request.pop("headers", {})
    path = "/analyze" + request.pop("query", "")
    async with (
        RecordingTriton() as fake,
        running_proxy(fake.url) as proxy,
        proxy.request("POST", path, headers=headers, **request) as response,
    ):
        return response.status, fake.requests


async def test_a_chunked_body_reaches_triton_in_one_piece_of_stated_length():
    """CVE-2025-23310, -23311: chunks overflow the stack of Triton's HTTP server. Figure: 0 chunks of a client's."""
    status, [(headers, _, body)] = await reaches_triton(data=chunked())
    assert 200 == status
    assert "Transfer-Encoding" not in headers
    assert str(len(body)) == headers["Content-Length"]


async def test_a_compressed_body_never_reaches_triton():
    """CVE-2026-24264: Triton unpacks compressed bodies of any size."""
    status, requests = await reaches_triton(data=BODY, headers={"Content-Encoding": "gzip"}, compress=None)
    assert (415, []) == (status, requests)


async def test_no_header_and_no_query_of_a_client_reaches_triton():
    """CVE-2026-24175, -24206, -24207, -47481: headers that crash Triton or pass its closed APIs."""
    strange = {"Inference-Header-Content-Length": "-1", "closed": "x", "triton_grpc_error": "true", "Priority": "u=0"}
    status, [(headers, path, _)] = await reaches_triton(data=BODY, headers=strange, query="?part=x")
    assert 200 == status
    assert headers.keys() <= HEADERS_OF_OURS
    assert int(headers["Inference-Header-Content-Length"]) > 0
    assert "/v2/models/segmenter/infer" == path


async def test_triton_is_asked_for_fixed_outputs_of_one_input_without_shared_memory():
    """CVE-2026-24146: very many outputs. CVE-2025-23319, -23320, -23334: regions of shared memory in a request."""
    _, [(headers, _, body)] = await reaches_triton(data=BODY)
    asked = json.loads(body[: int(headers["Inference-Header-Content-Length"])])
    assert ["image"] == [each["name"] for each in asked["inputs"]]
    assert len(asked["outputs"]) < 10
    assert "shared_memory" not in json.dumps(asked)
    assert [1, 1, 32, 64] == asked["inputs"][0]["shape"]


@pytest.mark.parametrize(
    "path",
    [
        "systemsharedmemory/status", "systemsharedmemory/region/x/register", "systemsharedmemory/unregister",
        "cudasharedmemory/status", "cudasharedmemory/region/x/register", "repository/index",
        "repository/models/segmenter/load", "repository/models/segmenter/unload", "repository/models/..%2fx/load",
        "trace/setting", "models/segmenter/trace/setting", "logging",
    ],
)  # fmt: skip
def test_triton_refuses_what_the_proxy_does_not_need(triton, path):
    """CVE-2025-23319, -23320, -23333, -23334, CVE-2026-24147, -24208, -24209, -47606, -47627: APIs that take paths."""
    body = None if path.endswith(("status", "setting", "logging")) else b"{}"
    expected = (400, 403, 404) if ".." in path else (403,)  # an open one answers 400 to such a body
    assert status_of(f"http://{triton.url}/v2/{path}", body) in expected


def test_of_triton_only_http_and_metrics_listen_and_only_on_loopback(triton):
    """Holes of gRPC, Vertex AI and SageMaker: nothing listens for them. Figure: 2 ports, on 127.0.0.1."""
    ports = {
        int(re.search(r":(\d+)", address)[1]) for address in (triton.url, triton.metrics_url.removeprefix("http:"))
    }
    assert {("127.0.0.1", port) for port in ports} == listening(triton.pid)


def listening(pid):
    """(address, port) of each TCP socket on which a process or one of its descendants listens."""
    pids = {str(pid)}
    while found := {child for each in pids for child in children(each)} - pids:
        pids |= found
    links = (link for each in pids for link in Path(f"/proc/{each}/fd").iterdir())
    inodes = {target[8:-1] for link in links if (target := str(link.readlink())).startswith("socket:[")}
    tables = [Path("/proc/net/tcp"), Path("/proc/net/tcp6")]
    lines = [line for table in tables if table.exists() for line in table.read_text().splitlines()[1:]]
    local = [row[1].split(":") for row in map(str.split, lines) if row[3] == "0A" and row[9] in inodes]
    return {
        (".".join(str(byte) for byte in reversed(bytes.fromhex(address))), int(port, 16)) for address, port in local
    }


def children(pid):
    return [each for task in Path(f"/proc/{pid}/task").iterdir() for each in (task / "children").read_text().split()]


def test_the_gpu_image_has_no_published_hole():
    """Figure: the newest bulletin's fix is in 26.07; the images that the project names are 26.08 or newer."""
    places = ["deploy/gpu/Dockerfile", "deploy/kubernetes/overlays/gpu/kustomization.yaml", "docs/gpu.md"]
    for place in places:
        releases = re.findall(r"(\d\d)\.(\d\d)-py3", (ROOT / place).read_text())
        assert min((int(year), int(month)) for year, month in releases) >= (26, 8), place
