"""The images that are learned from, and their truth.

Takes the published archive or a table of your own; gives data/tiles, its index, the split and, in memory, samples.
It must not know torch, nor what a network makes of an image.
"""
