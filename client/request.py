"""What a request may say, checked before it is sent."""

from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

from client.errors import InputError

URL = "http://127.0.0.1:8080"
PART_LETTERS = 128
SIGNATURES = {
    b"\xff\xd8": "image/jpeg",
    b"\x89PNG": "image/png",
    b"II*\0": "image/tiff",
    b"MM\0*": "image/tiff",
    b"BM": "image/bmp",
}
OTHERWISE = "image/jpeg"  # so that the service says what is wrong with the bytes; of WebP, how to convert it


def check_share(name: str, share: float) -> float:
    """Return a threshold or a score.

    Raises: InputError, if it is not within 0–1.
    """
    if not 0 <= share <= 1:
        raise InputError(f"{name} is {share}: give a number from 0 to 1")
    return share


def check_seconds(name: str, seconds: float) -> float:
    """Return a time.

    Raises: InputError, if it is negative or no number.
    """
    if not seconds >= 0:
        raise InputError(f"{name} is {seconds}: give 0 or more seconds")
    return seconds


def check_part(part: str) -> str:
    """Return a part's name.

    Raises: InputError, if the service would not take it.
    """
    if not (0 < len(part) <= PART_LETTERS and part.isprintable()):
        raise InputError(f"the part {part!r:.150} is refused: give it 1 to {PART_LETTERS} printable characters")
    return part


def media_type(image: bytes) -> str:
    """Return the media type of a file by its first bytes."""
    return next((kind for start, kind in SIGNATURES.items() if image.startswith(start)), OTHERWISE)


def service_url(url: str) -> str:
    """Return the service's address without a slash at its end.

    Raises: InputError, if it is none.
    """
    if "@" in url:  # it is not repeated: it may have a password
        raise InputError(f"the URL has an @, and no user name is sent: give the service's address, such as {URL}")
    parts = address(url)
    if parts is None or parts.query or parts.fragment:
        raise InputError(f"the URL is {url!r}: give the service's address in ASCII, such as {URL}")
    return url.rstrip("/")


def address(url: str) -> SplitResult | None:
    """Return the parts of a URL of HTTP; None if it is none, or has characters that a request cannot have."""
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").encode("idna")  # as a connection does, with a limit for each label
        known = parts.scheme in ("http", "https") and host and parts.port != 0
    except ValueError:
        return None
    return parts if known and url.isascii() and url.isprintable() and " " not in url else None


def is_loopback(url: str) -> bool:
    """Whether the address is this machine's own."""
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
