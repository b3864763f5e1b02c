"""What the served function finds, counted and measured.

Counts what a segmenter finds in samples, in one row for each image, and makes an operating point, figures and plots
from such rows.
It must not know how the network was trained, nor ONNX.
"""
