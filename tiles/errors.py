"""What can be wrong with a file; the message says what it is and what would be right.

DecodeError
├── NotAnImageError       no format that is read
├── ImageTooLargeError    more pixels than the caller allows
├── UnsupportedModeError  pixels that are not 8 or 16 bits a channel, or a rare kind of compression
├── TooMuchWorkError      it would take a decoder more time than the caller allows
└── TruncatedImageError   it starts well and then breaks off
"""


class DecodeError(ValueError):
    """These bytes are not an image that is read; the message says why and what would be one."""


class NotAnImageError(DecodeError):
    """No format that is read."""


class ImageTooLargeError(DecodeError):
    """More pixels than allowed."""


class UnsupportedModeError(DecodeError):
    """A kind of pixel or of compression that is not read."""


class TooMuchWorkError(DecodeError):
    """The file takes a decoder more time than allowed."""


class TruncatedImageError(DecodeError):
    """The header is an image's, the rest is missing or damaged."""


def damaged(found: str) -> TruncatedImageError:
    """Return the error of a file in which this is wrong."""
    return TruncatedImageError(f"the image is truncated or damaged ({found}): send the whole file")
