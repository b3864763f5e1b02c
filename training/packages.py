"""The check that the installed packages that change results match the lock file. Every stage makes it first."""

import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from training.errors import PackagesError
from training.files import PACKAGES_LOCK

# A change in one of these may change a pixel, a weight or a figure.
DECISIVE = (
    "numpy", "onnx", "onnxruntime", "onnxscript", "pillow", "safetensors", "scikit-learn",
    "segmentation-models-pytorch", "timm", "torch", "torchvision",
)  # fmt: skip


def locked_versions(lock: Path = PACKAGES_LOCK) -> dict[str, str]:
    """Return {package: version} of the decisive packages, as the lock pins them for this interpreter.

    Raises: PackagesError, when the lock is missing, does not pin one of them or has a line that pins nothing.
    """
    if not lock.is_file():
        raise PackagesError(f"{lock} is missing: run from the repository root, or make it with `make lock`")
    pins: dict[str, str] = {}
    for line in lock.read_text(encoding="utf-8").splitlines():
        text = line.removesuffix("\\").strip()
        if not text or text.startswith(("#", "-")):
            continue  # a comment, a hash or an option
        name, pinned, marker = _pin(text, lock)
        if name in DECISIVE and (marker is None or marker.evaluate()):
            pins[name] = pinned
    if unpinned := sorted(set(DECISIVE) - set(pins)):
        raise PackagesError(f"{lock} does not pin {', '.join(unpinned)}: make it with `make lock`")
    return dict(sorted(pins.items()))


def _pin(text: str, lock: Path) -> tuple[str, str, Marker | None]:
    """Read `name==version ; marker`."""
    try:
        requirement = Requirement(text)
        (version_text,) = [each.version for each in requirement.specifier if each.operator == "=="]
        return canonicalize_name(requirement.name), Version(version_text).public, requirement.marker
    except ValueError:
        raise PackagesError(f"{lock}: `{text}` does not pin a version with `==`: make it with `make lock`") from None


def installed_version(package: str) -> str | None:
    """Return the installed public version (a `+cpu` build counts as its release), or None if there is none."""
    try:
        return Version(version(package) or "").public
    except (PackageNotFoundError, InvalidVersion):  # no version: an incomplete installation
        return None


def check_packages(lock: Path = PACKAGES_LOCK) -> dict[str, str]:
    """Compare the environment with the lock and return the locked versions.

    Raises: PackagesError, listing every package that differs.
    """
    pins = locked_versions(lock)
    differing = [
        f"  {package}: locked {wanted}, installed {found or 'not at all'}"
        for package, wanted in pins.items()
        if (found := installed_version(package)) != wanted
    ]
    if differing:
        raise PackagesError(
            f"Python {platform.python_version()} at {sys.prefix} differs from {lock}:\n" + "\n".join(differing)
            + f"\ninstall the lock: {sys.executable} -m pip install --require-hashes -r {lock}"
        )  # fmt: skip
    return pins
