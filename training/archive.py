"""Get the dataset's archive: from a local copy or from its public URL, whole or not at all."""

import hashlib
import http.client
import lzma
import os
import urllib.error
import urllib.request
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from tqdm import tqdm

from training.errors import ArchiveError

ENVIRONMENT_VARIABLE = "MTD_ARCHIVE"
ATTEMPTS = 5
TIMEOUT_S = 60  # without a byte
CHUNK_BYTES = 1 << 18

# What zipfile and its decompressors raise for a file that is damaged, or no zip.
DAMAGE = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, ValueError, NotImplementedError)


def find_archive(url: str, download_folder: Path) -> Path:
    """Return the path of the zip: MTD_ARCHIVE's, or the download of `url`, which is kept for the next call.

    Raises: ArchiveError, when it is not there or can't be had.
    """
    local = os.environ.get(ENVIRONMENT_VARIABLE)
    if not local:
        return download(url, download_folder)
    if not Path(local).is_file():
        raise ArchiveError(f"{ENVIRONMENT_VARIABLE}={local}: there is no such file; name the zip or unset the variable")
    return Path(local)


def download(url: str, folder: Path) -> Path:
    """Download `url` beside its final name and rename it when it is whole; after a cut go on where it stopped.

    A server that can't go on (no ranges, or the file has changed since) makes it start over.

    Raises: ArchiveError, after ATTEMPTS cuts.
    """
    target = folder / f"{hashlib.sha256(url.encode()).hexdigest()[:16]}.zip"
    part = target.with_suffix(".part")
    if target.exists():
        return target
    for attempt in range(1, ATTEMPTS + 1):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _continue_download(url, part)
            break
        except (OSError, http.client.HTTPException, ValueError) as error:  # ValueError: the URL is malformed
            if attempt == ATTEMPTS or (isinstance(error, urllib.error.HTTPError) and 400 <= error.code < 500):  # noqa: PLR2004
                raise ArchiveError(
                    f"{url!r} can't be downloaded ({error}): check data_load.url in params.yaml, the network and the "
                    f"disk and run again, or download it by hand and name the file in {ENVIRONMENT_VARIABLE}"
                ) from None
    part.replace(target)
    part.with_suffix(".etag").unlink(missing_ok=True)
    return target


def _continue_download(url: str, part: Path) -> None:
    """Append what is missing to `part`, or start it over where the server does not resume."""
    etag_file = part.with_suffix(".etag")
    request = urllib.request.Request(url)  # noqa: S310 - the URL is the user's own
    if part.exists() and etag_file.exists():
        request.add_header("Range", f"bytes={part.stat().st_size}-")
        request.add_header("If-Range", etag_file.read_text())
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT_S)  # noqa: S310
    except urllib.error.HTTPError as error:
        if error.code != http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise
        etag_file.unlink()  # `part` was whole, or is of another file: the next attempt starts over
        raise ConnectionError("the server has nothing after what is there") from None
    with response:
        if response.status != http.HTTPStatus.PARTIAL_CONTENT:
            part.unlink(missing_ok=True)
            etag_file.unlink(missing_ok=True)  # it names the bytes that were there
        if etag := response.headers.get("ETag"):
            etag_file.write_text(etag)
        _append(response, part)


def _append(response: http.client.HTTPResponse, part: Path) -> None:
    before = part.stat().st_size if part.exists() else 0
    length = response.headers.get("Content-Length")
    total = before + int(length) if length else None
    with part.open("ab") as file, _progress(total, before) as bar:
        while chunk := response.read(CHUNK_BYTES):
            file.write(chunk)
            bar.update(len(chunk))
    if total is not None and part.stat().st_size != total:
        raise ConnectionError(f"{part.stat().st_size} of {total} bytes arrived")


def _progress(total: int | None, before: int) -> "tqdm[None]":
    return tqdm(total=total, initial=before, unit="B", unit_scale=True, desc="download")


def read_members(archive: Path) -> dict[str, bytes]:
    """Return the archive's images and masks as {"MT_<type>/Imgs/<name>": bytes}, whatever its root folder is called.

    Raises: ArchiveError, for a damaged zip, one without images, a member that leaves the folder or is encrypted.
    """
    try:
        with zipfile.ZipFile(archive) as zipped:
            return {published: _unpack(zipped, name) for published, name in _images(zipped).items()}
    except DAMAGE as error:
        raise ArchiveError(
            f"{archive} can't be read as a zip ({error}): delete it and run again, or name another in "
            f"{ENVIRONMENT_VARIABLE}"
        ) from None


def _images(zipped: zipfile.ZipFile) -> dict[str, str]:
    """Return {"MT_<type>/Imgs/<name>": the member's name}."""
    names = [name for name in zipped.namelist() if not name.endswith("/")]
    if outside := [name for name in names if _leaves_the_folder(name)]:
        raise ArchiveError(f"{zipped.filename}: refused, members leave the folder: {', '.join(outside[:5])}")
    images: dict[str, str] = {}
    for name in filter(_is_image, names):
        published = "/".join(PurePosixPath(name).parts[-3:])
        if published in images:
            raise ArchiveError(
                f"{zipped.filename} holds one image twice, {images[published]} and {name}: keep one and zip it again"
            )
        images[published] = name
    if not images:
        raise ArchiveError(
            f"{zipped.filename} holds no MT_<type>/Imgs/<name>.jpg or .png: name the dataset's zip in "
            f"{ENVIRONMENT_VARIABLE}, or its address in data_load.url of params.yaml"
        )
    return images


def _unpack(zipped: zipfile.ZipFile, name: str) -> bytes:
    try:
        return zipped.read(name)
    except RuntimeError as error:  # encrypted, or of a compression that Python does not know
        raise ArchiveError(
            f"{zipped.filename}: {name} can't be unpacked ({error}): unpack the archive with another program and zip "
            "it again, deflated and without a password, or download it anew"
        ) from None


def _leaves_the_folder(name: str) -> bool:
    path = PurePosixPath(name.replace("\\", "/"))
    return path.is_absolute() or ".." in path.parts or ":" in next(iter(path.parts), "")


def _is_image(name: str) -> bool:
    """Hidden files are none: macOS puts `._<name>.jpg` beside every image that it zips."""
    parts = PurePosixPath(name).parts
    in_a_types_folder = len(parts) >= 3 and parts[-3].startswith("MT_") and parts[-2] == "Imgs"  # noqa: PLR2004
    return in_a_types_folder and name.endswith((".jpg", ".png")) and not parts[-1].startswith(".")
