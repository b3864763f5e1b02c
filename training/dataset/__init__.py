"""The images that are learned from, and their true masks.

Reads the published archive or your own table; writes data/tiles, its index and the split; loads samples into memory.
It must not know torch, nor what a network predicts.
"""
