"""NVIDIA's onnxruntime backend's contract over Triton's Python backend: model.py is what Triton starts."""
