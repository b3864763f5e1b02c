"""`python -m workflows.sbom`: a bill of materials for each image, as CycloneDX 1.6, into sbom/<image>.cdx.json.

It lists what is installed in the image: Debian's packages, as dpkg knows them, and Python's distributions. An image is
asked by running it, so it must have been built.

| variable         | meaning                                                        |
|------------------|----------------------------------------------------------------|
| CONTAINER_ENGINE | docker or podman; default: the first of them that is installed |

Source: https://cyclonedx.org/docs/1.6/json and https://github.com/package-url/purl-spec
"""

import json
import os
import shutil
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import NAMESPACE_URL, uuid5

from host.files import write_whole
from workflows.commands import run, say
from workflows.errors import exit_status

IMAGES = ("mag-tiles", "magnetic-tiles-triton", "magnetic-tiles-proxy", "magnetic-tiles-front")
FOLDER = Path("sbom")
# A line each: deb NAME VERSION ARCHITECTURE, or pypi NAME VERSION
LIST_PACKAGES = r"""
dpkg-query -W -f='deb ${Package} ${Version} ${Architecture}\n'
find / -xdev -path '*.dist-info/METADATA' 2>/dev/null | while read -r file; do
  echo "pypi $(sed -n 's/^Name: //p;/^$/q' "$file" | head -n 1) $(sed -n 's/^Version: //p;/^$/q' "$file" | head -n 1)"
done
"""


def main() -> None:
    """Write the documents of all images, or of those that the command line names."""
    for image in sys.argv[1:] or IMAGES:
        lines = run(engine(), "run", "--rm", "--network=none", "--entrypoint", "sh", image, "-c", LIST_PACKAGES)
        path = FOLDER / f"{image}.cdx.json"
        document = describe(image, lines.splitlines())
        write_whole(path, json.dumps(document, indent=2) + "\n")
        say(f"{path}: {len(document['components'])} components")


def engine() -> str:
    """Return the container engine's client."""
    return os.environ.get("CONTAINER_ENGINE") or next(filter(shutil.which, ("docker", "podman")), "docker")


def describe(image: str, lines: Sequence[str]) -> dict[str, Any]:
    """Return the document of an image from the lines of LIST_PACKAGES; the same packages give the same document."""
    named = {line for line in lines if len(line.split()) > 2}  # noqa: PLR2004 - metadata without a version is no package
    components = [_component(line.split()) for line in sorted(named)]
    listed = "\n".join([image, *(component["purl"] for component in components)])
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": uuid5(NAMESPACE_URL, listed).urn,
        "version": 1,
        "metadata": {"component": {"type": "container", "name": image, "bom-ref": image}},
        "components": components,
    }


def _component(words: Sequence[str]) -> dict[str, Any]:
    kind, name, version, *rest = words
    purl = _debian(name, version, rest) if kind == "deb" else f"pkg:pypi/{_normal(name)}@{quote(version)}"
    return {"type": "library", "name": name, "version": version, "purl": purl, "bom-ref": purl}


def _debian(name: str, version: str, architecture: Iterable[str]) -> str:
    return f"pkg:deb/debian/{quote(name)}@{quote(version)}?arch={''.join(architecture)}"


def _normal(name: str) -> str:
    """Return a Python distribution's name as package URLs write it."""
    return name.lower().replace("_", "-")


if __name__ == "__main__":
    sys.exit(exit_status(main))
