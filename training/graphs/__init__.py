"""The network as ONNX graphs, and the model repository that Triton serves.

Takes the weights and samples; gives graphs in float32, int8 and fp16, measured, and their configurations.
It must not know how the network was trained.
"""
