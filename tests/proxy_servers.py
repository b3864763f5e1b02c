"""What the proxy's tests stand on: the application on a real socket, a Triton that misbehaves on request, images."""

import asyncio
import contextlib
import io
import json
from pathlib import Path

import numpy as np
from aiohttp import ClientSession, ClientTimeout, FormData, TCPConnector, web
from aiohttp.test_utils import TestServer
from PIL import Image
from prometheus_client.parser import text_string_to_metric_families

from proxy.app import SERVER_OPTIONS, connection_limits, make_app
from proxy.errors import NotReadyError
from proxy.image_steps import READINESS
from proxy.limited_server import LimitedRunner
from proxy.settings import Settings
from tiles.fingerprint import fingerprint
from tiles.golden import golden_answer, golden_canvas
from tiles.label import encode_label

SAMPLES = Path(__file__).parent.parent / "samples" / "tiles"


class Proxy:
    """A running application, and a client of it."""

    def __init__(self, runner, session):
        self.app, self.session = runner.app, session
        self.host, self.port = runner.addresses[0]

    def request(self, method, path, **options):
        return self.session.request(method, f"http://{self.host}:{self.port}{path}", **options)

    def post(self, body, *, content_type="image/png", **headers):
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.request("POST", "/analyze", data=body, headers={"Content-Type": content_type, **names})

    def post_form(self, *parts, **headers):
        """Parts are (field, bytes)."""
        form = FormData()
        for field, data in parts:
            form.add_field(field, data, filename="image.png", content_type="image/png")
        return self.request("POST", "/analyze", data=form(), headers=headers)

    async def analysis(self, body):
        async with self.post(body) as response:
            assert 200 == response.status, await response.text()
            return await response.json()

    async def metric(self, name, **labels):
        async with self.request("GET", "/metrics") as response:
            families = text_string_to_metric_families(await response.text())
        found = [s.value for family in families for s in family.samples if (s.name, s.labels) == (name, labels)]
        return found[0] if found else 0

    async def check(self):
        """Have the proxy check Triton now, and tell whether it found the model."""
        await self.app[READINESS].check()
        return self.is_ready()

    def is_ready(self):
        try:
            return bool(self.app[READINESS].model())
        except NotReadyError:
            return False

    async def connect(self):
        """Open a connection of one's own: (reader, writer)."""
        return await asyncio.open_connection(self.host, self.port)


@contextlib.asynccontextmanager
async def running_proxy(triton_url, connections=1, first_check=True, **settings):
    """The application, after its first check of Triton, and a client with so many connections; 0: no limit."""
    chosen = Settings(triton_url=triton_url, **{"check_interval_s": 60} | settings)
    runner = LimitedRunner(make_app(chosen), limits=connection_limits(chosen), shutdown_timeout=1, **SERVER_OPTIONS)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        async with ClientSession(connector=TCPConnector(limit=connections), timeout=ClientTimeout(60)) as session:
            proxy = Proxy(runner, session)
            if first_check:
                await proxy.check()
            yield proxy
    finally:
        await runner.cleanup()


class FakeTriton:
    """Speaks KServe v2 as Triton does, and does not keep the contract where a test says so."""

    def __init__(self, port=0):
        self.config = model_config()
        self.metadata = {"name": "segmenter", "versions": ["1"]}
        self.open = asyncio.Event()  # inference waits while it is not set
        self.open.set()
        self.away = False  # neither describes its model nor infers
        self.hangs = False  # answers nothing at all
        self.asked = asyncio.Semaphore(0)  # released once for each image that has come
        self.described = 0  # how often it was asked for its model: once a check
        self.answer = self.echo
        self.novelty = 1.0
        self.told_to_end = []  # the reasons
        app = web.Application(client_max_size=2**26)
        app.router.add_get("/v2/models/segmenter", self.describe)
        app.router.add_get("/v2/models/segmenter/config", self.configure)
        app.router.add_post("/v2/models/segmenter/infer", self.infer)
        self.server = TestServer(app, port=port)

    async def __aenter__(self):
        await self.server.start_server(shutdown_timeout=0.1)
        self.url = f"127.0.0.1:{self.server.port}"
        return self

    async def __aexit__(self, *_):
        await self.server.close()

    async def describe(self, _request):
        self.described += 1
        if self.hangs:
            await asyncio.Event().wait()
        return leaving() if self.away else web.json_response(self.metadata)

    async def configure(self, _request):
        if self.hangs:
            await asyncio.Event().wait()
        return web.json_response(self.config)

    async def infer(self, request):
        body = await request.read()
        assert request.content_length == len(body)
        assert "identity" == request.headers["Accept-Encoding"]
        if golden_canvas().tobytes() not in body:  # not one of the proxy's checks
            self.asked.release()
        if self.hangs:
            await asyncio.Event().wait()
        await self.open.wait()
        if self.away:
            return leaving()
        split = int(request.headers["Inference-Header-Content-Length"])
        header = json.loads(body[:split])
        canvases = np.frombuffer(body[split:], np.uint8).reshape(header["inputs"][0]["shape"])
        if "end_server" in header.get("parameters", {}):
            self.told_to_end.append(header["parameters"]["end_server"])
            return self.echo(canvases)
        return self.answer(canvases)

    def echo(self, canvases):
        """The darker, the more of a defect; all of type 3."""
        return self.proven(canvases, 255 - canvases, np.full_like(canvases, 3))

    def proven(self, canvases, probability, defect_type):
        """The answer with its proof, as the served graph gives it."""
        parameters = {name: each["string_value"] for name, each in self.config["parameters"].items()}
        return tensors(
            probability=probability,
            type=defect_type,
            novelty=np.full((len(canvases), 1), self.novelty, np.float32),
            fingerprint=fingerprint(canvases, probability, defect_type),
            model=np.tile(encode_label(parameters), (len(canvases), 1)),
        )


def leaving():
    """Triton's answer while it starts or stops."""
    return web.json_response({"error": "unloading"}, status=503)


def model_config():
    """What Triton says of a model that keeps the contract."""
    parameters = {
        "model.threshold": "128",
        "model.alarm_score": "0.0",
        "model.tile_alarm_score": "0.5",
        "model.novelty_limit": "10.0",
        "model.types": "Blowhole,Break,Crack,Fray,Uneven",
        "model.digest": "d1" * 32,
        "model.golden": golden_answer(255 - golden_canvas()),
    }
    names = {"input": ["image"], "output": ["probability", "type"]}
    proofs = [
        {"name": "novelty", "data_type": "TYPE_FP32", "dims": [1]},
        {"name": "fingerprint", "data_type": "TYPE_INT32", "dims": [-1, 2]},
        {"name": "model", "data_type": "TYPE_UINT8", "dims": [1024]},
    ]
    tensors_of = {
        kind: [{"name": name, "data_type": "TYPE_UINT8", "dims": [1, -1, -1]} for name in names[kind]] for kind in names
    }
    return {
        "name": "segmenter",
        "max_batch_size": 8,
        "instance_group": [{"kind": "KIND_CPU", "count": 1, "gpus": []}],
        "parameters": {name: {"string_value": value} for name, value in parameters.items()},
        "input": tensors_of["input"],
        "output": [*tensors_of["output"], *proofs],
    }


def tensors(**arrays):
    """Triton's binary answer with these outputs; the dtype and shape are the arrays' own."""
    names = {"uint8": "UINT8", "float32": "FP32", "int32": "INT32"}
    outputs = [
        {"name": name, "datatype": names[array.dtype.name], "shape": array.shape,
         "parameters": {"binary_data_size": array.nbytes}}
        for name, array in arrays.items()
    ]  # fmt: skip
    header = json.dumps({"model_name": "segmenter", "model_version": "1", "outputs": outputs}).encode()
    body = header + b"".join(array.tobytes() for array in arrays.values())
    return web.Response(body=body, headers={"Inference-Header-Content-Length": str(len(header))})


async def until(holds, timeout_s=20):
    """Wait for what no event tells of: an async predicate."""
    async with asyncio.timeout(timeout_s):
        while not await holds():  # noqa: ASYNC110 it asks over HTTP, where no event comes from
            await asyncio.sleep(0.01)


def png(image):
    return encoded(Image.fromarray(image), "PNG")


def encoded(image, file_format, **options):
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def texture(height, width, seed=0):
    """A grey image with a dark scratch: cropped from a sample if there are some, otherwise made up."""
    random = np.random.default_rng(seed)
    samples = sorted(SAMPLES.glob("*/Imgs/*.jpg"))
    if samples:
        photograph = np.asarray(Image.open(samples[seed % len(samples)]).convert("L"))
        if photograph.shape[0] >= height and photograph.shape[1] >= width:
            top, left = (
                random.integers(0, have - want + 1)
                for have, want in zip(photograph.shape, (height, width), strict=True)
            )
            return photograph[top : top + height, left : left + width]
    image = np.clip(random.normal(140, 8, (height, width)), 0, 255).astype(np.uint8)
    row = random.integers(0, height)
    image[row : row + 3, width // 4 :] = 20
    return image


async def problem(response, status, title):
    """Check that an answer is this problem document, and return it."""
    assert (status, "application/problem+json") == (response.status, response.content_type), await response.text()
    document = await response.json(content_type=None)
    assert (status, title) == (document["status"], document["title"])
    assert document["detail"]
    assert response.headers["X-Request-ID"] == document["request_id"]
    assert "total;dur=" in response.headers["Server-Timing"]
    return document
