"""The online half: an aiohttp service that answers POST /analyze with the mask of the defects on a tile.

    __main__ → app → handlers → batcher → segmenter ⇢ Triton
                       ├ negotiation, upload, decoding   request → canvas
                       └ answers → encoding              segmentation → JSON | PNG

`readiness` watches whether the model is there and keeps its contract; `batch_queue` is the batcher's policy without
I/O; `middleware` and `problems` make every failure one kind of document; `settings`, `errors`, `telemetry` and
`allocation` are the ground. Where PROXY_WORKERS asks for several processes, `supervisor` starts and ends them. Only
`segmenter` speaks to tritonclient. Nothing here knows torch, onnx or how the model came about.
"""
