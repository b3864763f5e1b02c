"""The files that make the pipeline's result.

A test compares the list with dvc.yaml and 1-experiment.yaml. It is not read from dvc.yaml, because a job needs it
before anything is installed that could read YAML. dvc.lock is missing: the pipeline writes it.
"""

PIPELINE = ("dvc.yaml", "params.yaml", "requirements/training.txt", "host", "tiles", "training")
