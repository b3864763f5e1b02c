"""The published images with doubtful labels; `studies.audit` writes their list, which is beside this file."""

import csv

from training.errors import DatasetError
from training.files import DOUBTFUL_FILE


def doubtful_images() -> list[str]:
    """Return the names of these images.

    Raises: DatasetError, when their list is missing.
    """
    if not DOUBTFUL_FILE.is_file():
        raise DatasetError(f"{DOUBTFUL_FILE} is missing: run `python -m studies.audit`, or `git checkout` it")
    with DOUBTFUL_FILE.open(newline="", encoding="utf-8") as file:
        return [row["image"] for row in csv.DictReader(file)]
