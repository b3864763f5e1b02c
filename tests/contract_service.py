"""A server that answers POST /v1/analyze?mask=rle as docs/serving.md says, and is away, busy or changed on request.

It stands where a test needs what the real service does only by chance. A dark pixel is defective here.
"""

import asyncio
import contextlib
import hashlib
import io
import socket
import threading

import numpy as np
from aiohttp import web
from PIL import Image

from host.ports import free_port
from tiles import DecodeError, NotAnImageError, decode_image

DARK = 40
MODEL = {
    "name": "segmenter",
    "version": "1",
    "sha256": "a" * 64,
    "commit": "b" * 40,
    "dirty": False,
    "data": "c" * 64,
    "threshold": 0.2509,
    "alarm_score": 0.8,
    "tile_alarm_score": 0.5,
    "novelty_limit": 10.0,
    "types": ["Blowhole", "Break"],
}


def png(pixels):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return buffer.getvalue()


def sound(seed=0, height=24, width=20):
    return np.random.default_rng(seed).integers(100, 200, (height, width), np.uint8)


def defective(seed=0, height=24, width=20):
    pixels = sound(seed, height, width)
    pixels[5:9, 3:10] = 10
    pixels[6, 5] = 150  # a hole
    return pixels


class ContractService:
    """Runs in a thread, on a port of its own that it keeps; use it in a `with` block."""

    def __init__(self, tls=None):
        self.port = free_port()
        self.url = f"{'http' if tls is None else 'https'}://127.0.0.1:{self.port}"
        self._tls = tls
        self.posts = []  # of each POST: (SHA-256 of its body, its query)
        self.headers, self.targets, self.peers = [], [], []  # of each POST; a peer is the sender's address
        self.descriptions = 0  # how often it was asked for its model
        self.at_once = self.most_at_once = 0
        self.wait_for = 1  # answers wait until so many requests were under way together
        self.refusals = []  # (status, title, Retry-After or None) or a whole response, used up by the next POSTs
        self.dropped = set()  # images whose connection is closed instead of an answer
        self.model = dict(MODEL)
        self.health_refusal = None  # what it answers when it is asked for its model
        self.api_key = None
        self.on_post = lambda: None
        self._loop = asyncio.new_event_loop()
        self._enough = asyncio.Event()
        self._runner = self._listener = None
        self._going = False

    def __enter__(self):
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self.come()
        return self

    def __exit__(self, *_):
        self.go()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def come(self):
        """Listen."""
        self._going = False
        self._wait(self._come())

    def go(self):
        """Close the port and all connections."""
        if self._runner is not None:
            self._wait(self._go())
            self._runner = self._listener = None

    def go_soon(self):
        """Answer nothing more, and go, from a handler."""
        self._going = True
        threading.Thread(target=self.go).start()

    def call_later(self, seconds, method):
        """Call a method of this object soon, in a thread beside the server."""
        timer = threading.Timer(seconds, method)
        timer.start()
        return timer

    def _wait(self, work):
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def _come(self):
        app = web.Application(client_max_size=2**26, middlewares=[self._note])
        app.router.add_post("/v1/analyze", self.analyze)
        app.router.add_get("/v1/health/ready", self.ready)
        app.router.add_get("/", self.page)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None)  # 0: no limit
        await self._runner.setup()
        self._listener = socket.create_server(("127.0.0.1", self.port))
        await web.SockSite(self._runner, self._listener, ssl_context=self._tls).start()

    async def _go(self):
        # asyncio of Python 3.11 leaves open what it is just accepting when a server closes
        self._loop.remove_reader(self._listener)
        await asyncio.sleep(0.05)
        await self._runner.cleanup()

    @web.middleware
    async def _note(self, request, handler):
        if request.method == "POST":
            self.headers.append(request.headers)
            self.targets.append(request.raw_path)
            self.peers.append(request.transport.get_extra_info("peername"))
        return await handler(request)

    async def page(self, _request):
        return web.Response(text="<html>")

    async def ready(self, _request):
        self.descriptions += 1
        if self.health_refusal is not None:
            return problem(*self.health_refusal)
        return web.json_response({"status": "ready", "model": self.model})

    async def analyze(self, request):
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        if self.most_at_once >= self.wait_for:
            self._enough.set()
        try:
            return await self._analyze(request)
        finally:
            self.at_once -= 1

    async def _analyze(self, request):
        body = await request.read()
        self.posts.append((hashlib.sha256(body).hexdigest(), dict(request.query)))
        self.on_post()
        await self._enough.wait()
        if self.api_key and f"Bearer {self.api_key}" != request.headers.get("Authorization"):
            return problem(401, "Unknown key")
        if self._going or body in self.dropped:
            request.transport.abort()
            return web.Response()
        if self.refusals:
            refusal = self.refusals.pop(0)
            return refusal if isinstance(refusal, web.Response) else problem(*refusal)
        try:
            pixels = decode_image(body, max_pixels=100_000_000)
        except NotAnImageError:
            return problem(415, "Unsupported upload")
        except DecodeError:
            return problem(422, "Damaged image")
        return web.json_response(answer(pixels, dict(self.model), request.query))


def problem(status, title, retry_after=None):
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    document = {"type": "about:blank", "title": title, "status": status, "detail": f"because of {title.lower()}"}
    return web.json_response(document, status=status, headers=headers, content_type="application/problem+json")


def answer(pixels, model, query):
    """The contract's JSON with mask=rle."""
    mask = pixels < DARK
    height, width = mask.shape
    score = 0.91 if mask.any() else 0.05
    alarm_score = float(query.get("alarm_score", model["alarm_score"]))
    defects = [region(mask)] if mask.any() else []
    return {
        "part": query.get("part"),
        "width": width,
        "height": height,
        "verdict": "defect" if score >= alarm_score else "ok",
        "defective": score >= alarm_score,
        "defect_pixels": int(mask.sum()),
        "score": score,
        "alarm_score": alarm_score,
        "threshold": float(query.get("threshold", model["threshold"])),
        "type": "Blowhole" if defects else None,
        "types": {"Blowhole": int(mask.sum()), "Break": 0},
        "defects": defects,
        "novelty": 3.25,
        "familiar": True,
        "warnings": [{"code": "exif-orientation", "detail": "it is not applied"}] if defects else [],
        "model": model,
        "rle": {"size": [height, width], "counts": run_lengths(mask)},
        "rle_string": {"size": [height, width], "counts": "0"},
    }


def region(mask):
    rows, columns = np.nonzero(mask)
    box = {"x": int(columns.min()), "y": int(rows.min())}
    box |= {"width": int(np.ptp(columns)) + 1, "height": int(np.ptp(rows)) + 1}
    centroid = {"x": float(columns.mean()), "y": float(rows.mean())}
    return {"type": "Blowhole", "score": 0.91, "area": int(mask.sum()), "box": box, "centroid": centroid}


def run_lengths(mask):
    columns = mask.ravel(order="F").tolist()
    counts, value = [0], False
    for pixel in columns:
        if pixel != value:
            counts.append(0)
            value = pixel
        counts[-1] += 1
    return counts


@contextlib.contextmanager
def contract_service():
    with ContractService() as service:
        yield service
