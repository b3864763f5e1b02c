"""The names of the served function's tensors: in the graphs, in config.pbtxt and on the wire."""

INPUT, OUTPUTS = "image", ("probability", "type")
NOVELTY = "novelty"
FINGERPRINT, LABEL = "fingerprint", "model"  # of what is published: `training.graphs.proof`
