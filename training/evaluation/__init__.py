"""What the served function finds, counted and measured.

Takes samples and a segmenter; gives one row of counts an image, and from such rows an operating point, figures, plots.
It must not know how the network was trained, nor ONNX.
"""
