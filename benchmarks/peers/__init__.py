"""The same graph on the same cores, served in other ways: `python -m benchmarks.peers` compares them.

contenders.py       who is compared, and with which settings
rounds.py           each contender's best settings, then rounds in which each contender is measured once
local.py            what the Python peers share: JPEG → image → canvas → ONNX Runtime → mask → PNG
fastapi_app.py      FastAPI, with ONNX Runtime in its own processes
litserve_app.py     LitServe
bentoml_service.py  BentoML
in_process.py       no server: ONNX Runtime or OpenVINO on tensors in memory, which no server can exceed
"""
