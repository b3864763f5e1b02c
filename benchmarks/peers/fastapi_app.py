"""FastAPI with ONNX Runtime in the process: the usual way to serve a network over HTTP.

uvicorn starts the processes; in each, PEER_WORKERS threads decode, infer and encode, and the event loop does the rest.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from anyio import to_thread
from fastapi import FastAPI, Request, Response

from benchmarks.peers.local import LocalSegmenter, settings


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Load the network before the first request."""
    chosen = settings()
    app.state.segmenter = LocalSegmenter(chosen.graph, chosen.threads)
    app.state.limiter = anyio.CapacityLimiter(chosen.workers)
    yield


app = FastAPI(lifespan=lifespan)


@app.post("/analyze")
async def analyze(request: Request) -> Response:
    """Answer one image with the mask of its defects."""
    data = await request.body()
    mask = await to_thread.run_sync(app.state.segmenter.analyze, data, limiter=app.state.limiter)
    return Response(mask, media_type="image/png")


@app.get("/health")
async def health() -> Response:
    """Answer 200 once the network is loaded."""
    return Response()
