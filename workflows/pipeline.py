"""The files that determine the pipeline's result.

A test compares the list with dvc.yaml and 1-experiment.yaml. It is not read from dvc.yaml, because a job needs it
before a package that can read YAML is installed. dvc.lock is not in it, because the pipeline writes that file.
"""

PIPELINE = (
    "dvc.yaml",
    "params.yaml",
    "requirements/training.txt",
    "host",
    "inference_server/backends/onnxruntime/exact_sums.py",
    "tiles",
    "training",
)
