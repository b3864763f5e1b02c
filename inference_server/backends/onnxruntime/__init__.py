"""A backend with the name and the rules of NVIDIA's onnxruntime backend; Triton starts model.py."""
