"""The JSON files of a folder, each read once."""

import functools
import json
from pathlib import Path
from typing import Any

from training.errors import DatasetError
from training.own_data.found import files


@functools.cache
def json_files(folder: Path) -> dict[Path, Any]:
    """Return {path: content} of every JSON file below the folder.

    Raises: DatasetError, when one is damaged.
    """
    contents = {}
    for path in files(folder):
        if path.suffix.lower() == ".json":
            try:
                contents[path] = _without_photograph(json.loads(path.read_text(encoding="utf-8-sig")))
            except (UnicodeDecodeError, json.JSONDecodeError) as error:
                raise DatasetError(f"{path} cannot be read as JSON ({error}): export it again, or delete it") from None
    return contents


def documents(folder: Path, keys: set[str]) -> dict[Path, Any]:
    """Return those of `json_files` that are objects with these keys."""
    return {path: each for path, each in json_files(folder).items() if isinstance(each, dict) and each.keys() >= keys}


def _without_photograph(document: Any) -> Any:
    """Drop the photograph that labelme puts into its files: all of them together may be larger than the memory."""
    if isinstance(document, dict):
        document.pop("imageData", None)
    return document
