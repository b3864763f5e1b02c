"""A training run: crops, the trainer, the run's checkpoint, its key and its record.

Takes samples and parameters; gives the moving average of the network's weights, and what the run took and came from.
It must not know ONNX, and measures only by `evaluation`.
"""
