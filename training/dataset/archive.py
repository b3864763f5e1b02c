"""Get the dataset's archive, from a local copy or its public URL, and read its images and masks."""

import hashlib
import lzma
import os
import zipfile
import zlib
from pathlib import Path, PurePosixPath

import pooch
import requests

from training.dataset.index import verify_content
from training.errors import ArchiveError
from training.files import DOWNLOAD_FOLDER
from training.params import DataLoadParams

ENVIRONMENT_VARIABLE = "MTD_ARCHIVE"
RETRIES = 4
TIMEOUT_S = 60  # without receiving a byte

# What zipfile and its decompressors raise for a damaged file or one that is no zip.
DAMAGE = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, ValueError, NotImplementedError)


def read_archive(params: DataLoadParams) -> dict[str, bytes]:
    """Return the archive's images and masks as {"MT_<type>/Imgs/<name>": bytes}.

    Raises: ArchiveError, when the archive cannot be downloaded or read, or its content is not what params.yaml expects.
    """
    archive = find_archive(params.url)
    members = read_members(archive)
    verify_content(members, params.digest, archive)
    return members


def find_archive(url: str, download_folder: Path = DOWNLOAD_FOLDER) -> Path:
    """Return the path of the zip: the one that MTD_ARCHIVE names, or the download of `url`, kept for the next call.

    Raises: ArchiveError, when there is no such file or it cannot be downloaded.
    """
    local = os.environ.get(ENVIRONMENT_VARIABLE)
    if not local:
        return _download(url, download_folder)
    if not Path(local).is_file():
        raise ArchiveError(f"{ENVIRONMENT_VARIABLE}={local}: there is no such file; name the zip or unset the variable")
    return Path(local)


def _download(url: str, folder: Path) -> Path:
    """Download completely or not at all, with retries; an earlier download is used as it is."""
    name = f"{hashlib.sha256(url.encode()).hexdigest()[:16]}.zip"  # another URL is another file
    downloads = pooch.create(folder, base_url="", registry={name: None}, urls={name: url}, retry_if_failed=RETRIES)
    try:
        return Path(downloads.fetch(name, downloader=pooch.HTTPDownloader(progressbar=True, timeout=TIMEOUT_S)))
    except (OSError, ValueError, requests.RequestException) as error:  # ValueError: the URL is malformed
        raise ArchiveError(
            f"{url!r} cannot be downloaded ({error}): check data_load.url in params.yaml, the network and the disk and "
            f"run again; or download it by hand and name the file in {ENVIRONMENT_VARIABLE}"
        ) from None


def read_members(archive: Path) -> dict[str, bytes]:
    """Return the archive's images and masks as {"MT_<type>/Imgs/<name>": bytes}, whatever its root folder is called.

    Raises: ArchiveError, for a damaged zip, one without images, or a member that is encrypted or outside the folder.
    """
    try:
        with zipfile.ZipFile(archive) as zipped:
            return {published: _unpack(zipped, name) for published, name in _images(zipped).items()}
    except DAMAGE as error:
        raise ArchiveError(
            f"{archive} cannot be read as a zip ({error}): delete it and run again, or name another in "
            f"{ENVIRONMENT_VARIABLE}"
        ) from None


def _images(zipped: zipfile.ZipFile) -> dict[str, str]:
    """Return {"MT_<type>/Imgs/<name>": the member's name}."""
    names = [name for name in zipped.namelist() if not name.endswith("/")]
    if outside := [name for name in names if _leaves_the_folder(name)]:
        raise ArchiveError(
            f"{zipped.filename}: the zip has paths outside its own folder ({', '.join(outside[:5])}); download it again"
        )
    images: dict[str, str] = {}
    for name in filter(_is_image, names):
        published = "/".join(PurePosixPath(name).parts[-3:])
        if published in images:
            raise ArchiveError(
                f"{zipped.filename} has one image twice, {images[published]} and {name}: keep one and zip it again"
            )
        images[published] = name
    if not images:
        raise ArchiveError(
            f"{zipped.filename} has no MT_<type>/Imgs/<name>.jpg or .png: name the dataset's zip in "
            f"{ENVIRONMENT_VARIABLE}, or its address in data_load.url of params.yaml"
        )
    return images


def _unpack(zipped: zipfile.ZipFile, name: str) -> bytes:
    try:
        return zipped.read(name)
    except RuntimeError as error:  # encrypted, or a compression that Python does not know
        raise ArchiveError(
            f"{zipped.filename}: {name} cannot be unpacked ({error}): unpack the archive with another program and zip "
            "it again, deflated and without a password, or download it again"
        ) from None


def _leaves_the_folder(name: str) -> bool:
    path = PurePosixPath(name.replace("\\", "/"))
    return path.is_absolute() or ".." in path.parts or ":" in next(iter(path.parts), "")


def _is_image(name: str) -> bool:
    """Hidden files do not count as images: macOS puts `._<name>.jpg` beside every image that it zips."""
    parts = PurePosixPath(name).parts
    in_a_types_folder = len(parts) >= 3 and parts[-3].startswith("MT_") and parts[-2] == "Imgs"  # noqa: PLR2004
    return in_a_types_folder and name.endswith((".jpg", ".png")) and not parts[-1].startswith(".")
