"""The segmentation network: what it is made of, what it minimises, the function that is served, its weights on disk.

Takes normalised images and gives logits; `served` takes grey bytes and gives bytes.
It must not know the dataset, nor how a run is scheduled or measured.
"""
