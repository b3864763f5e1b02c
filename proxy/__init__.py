"""The online half: an aiohttp service that answers POST /analyze with the defects in an image.

    __main__ → app → handlers, tile_handler → image_steps → batcher → segmenter (binary_tensors) ⇢ Triton
                       ├ negotiation, parameters          what is asked for
                       ├ upload, tile_upload, forms, pace request → files
                       ├ decoding                         file → canvas
                       ├ analysis, regions                segmentation → what is found
                       └ report, answers, tile_answers    findings → JSON (mask_formats) | PNG (views, png_chunks)

`readiness` watches whether Triton serves a model that fits; `contract` and `served_model` say which models fit. Only
`segmenter` speaks to Triton, and a `segmentation` is its answer. `batch_queue` is the batcher's policy without I/O.
`middleware` and `problems` turn every failure into a problem document. `document` serves the API's description and
`page` the web page, both with `files`. `limited_server` with its `connections` (policy: `connection_limits`),
`api_keys` (`make_key` makes one), `cors`, and `admission` with `upload_memory` decide what reaches a handler.
`addresses` finds the Tritons behind a name, and `proof` checks that an answer belongs to its request. `draining` ends
the service, and `exhaustion` logs that descriptors ran out. All of them use `settings`, `errors`, `telemetry`, `logs`,
`security_headers` and `threads`.

One process fills about one core: several processes run behind a load balancer and share nothing. Nothing here knows
torch, onnx or training.
"""

import os

# numpy reads this when it is imported. The products here are small, and OpenBLAS's idle threads would keep every core
# busy between two of them: beside Triton an answer then took 17 ms of the proxy's processor time instead of 3.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# Set for another program's sake, these would have prometheus_client write files for several processes.
for _name in ("PROMETHEUS_MULTIPROC_DIR", "prometheus_multiproc_dir"):
    os.environ.pop(_name, None)
