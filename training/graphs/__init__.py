"""The network as ONNX graphs, and the model repository that Triton serves.

Makes graphs in float32, int8 and fp16 from the weights, measures them on samples, and writes their configurations.
It must not know how the network was trained.
"""
