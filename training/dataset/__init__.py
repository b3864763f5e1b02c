"""The images that are learned from, and their true masks.

Reads the published archive or your own table; writes data/tiles, its index and the split; loads samples into memory;
lays the photographs of a tile, and their masks, onto one another.
It must not know torch, nor what a network predicts.
"""
