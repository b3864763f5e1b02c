"""The segmentation network: what it is made of, what it minimises, the function that is served, its weights on disk.

It turns normalised images into logits; `served` turns grey bytes into bytes.
It must not know the dataset, nor how a run is scheduled or measured.
"""
