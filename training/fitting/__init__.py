"""A training run: crops, the trainer, the run's checkpoint, its key and its record.

Trains on samples with the given parameters; returns the moving average of the network's weights, and a record of the
run's sources and time. It must not know ONNX, and measures only with `evaluation`.
"""
