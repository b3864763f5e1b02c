"""The online half: an aiohttp service that answers POST /analyze with the defects in an image.

    __main__ → app → handlers, tile_handler → image_steps → batcher → segmenter (binary_tensors) ⇢ Triton
                       ├ negotiation, parameters          what is asked for
                       ├ upload, tile_upload, forms       request → files
                       ├ decoding                         file → canvas
                       ├ analysis, regions                segmentation → what is found
                       └ report, answers, tile_answers    findings → JSON (mask_formats) | PNG (views, png_chunks)

`readiness` watches whether Triton serves a model that fits; `contract` and `served_model` say which ones fit;
`batch_queue` is the batcher's policy without I/O; `middleware` and `problems` turn every failure into one form of
document; `document` serves the API's description and `page` the web page, both out of `files`; `settings`, `errors`,
`telemetry`, `logs`, `security_headers` and `threads` serve them all. What may reach a handler is decided by
`connections` (their policy is `connection_limits`), `api_keys` (`make_key` makes one), `cors`, and `admission` with
`upload_memory`. `addresses` finds the Tritons behind a name, and `proof` tells whether an answer belongs to its
request; `draining` and `exhaustion` see to the end and to used-up descriptors. One process fills about one core:
several processes run behind a load balancer and share nothing. Only `segmenter` speaks to Triton. Nothing here knows
torch, onnx or training.
"""

import os

# numpy reads this when it is imported. The products here are small, and OpenBLAS's idle threads would keep every core
# busy between two of them: beside Triton an answer then took 17 ms of the proxy's processor time instead of 3.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# Set for another program's sake, these would have prometheus_client write files for several processes.
for _name in ("PROMETHEUS_MULTIPROC_DIR", "prometheus_multiproc_dir"):
    os.environ.pop(_name, None)
