"""Everything that can go wrong in the proxy; each leaf knows its HTTP status or exit code.

ProxyError
├── StartError                      ends the process
│   ├── SettingsError               exit 2  an environment variable has a wrong value
│   ├── ListenError                 exit 1  the proxy cannot listen on its address
│   └── ModelRefusedError           exit 3  Triton serves a model that lacks what this proxy needs
├── EmptyUploadError                400     there is no body, or an empty image file
├── MalformedUploadError            400     the body breaks the rules of HTTP or multipart
├── WrongParameterError             400     the query has an unknown or doubled parameter, or a wrong value
├── NotAcceptableError              406     no answer fits the Accept header
├── UnknownKeyError                 401     API keys are required, and this is none of them
├── UploadTooSlowError              408     the upload did not finish before the deadline, or comes too slowly
├── UploadTooLargeError             413     too many bytes in one file
│   └── RequestTooLargeError        413     too many bytes in one request
│       └── TileTooLargeError       413     too many pixels in one tile
├── ImageTooLargeError              413     too many pixels
├── UnsupportedUploadError          415     not an image that is read, by its header or by its bytes
├── WrongFieldError                 422     the form is not made of files in the field `image`
├── DamagedImageError               422     the file starts as an image and breaks off
├── NoImageAnsweredError            422     each image of a tile has its own problem
├── TooMuchWorkError                422     the file would keep a decoder busy for too long
├── UnknownExpectationError         417     an Expect header other than 100-continue
├── TooManyRequestsError            429     more requests than an API key's rate
├── SegmenterAnswerError            502     Triton refuses a correct request, or its answer is wrong
├── MismatchedAnswerError           502     Triton's answer belongs to another request, or was damaged on its way
├── SegmenterAwayError              503     Triton cannot be reached or does not serve the model
├── WrongModelError                 503     the served model lacks what this proxy needs
├── NotReadyError                   503     one of the two above, found before the request arrived
├── ModelChangedError               503     the images of one tile were answered by two models
├── QueueFullError                  503     more images or bytes than can be answered soon
├── SegmenterSlowError              504     Triton did not answer in time
└── DeadlinePassedError             504     the image was not answered before its deadline
"""

from collections.abc import Mapping
from typing import Any, ClassVar


class ProxyError(Exception):
    """The message says what was wrong, what is allowed and what to do."""

    status: ClassVar[int] = 500
    title: ClassVar[str] = "Internal error"
    headers: Mapping[str, str] = {}  # sent together with the problem document
    inside: ClassVar[bool] = False  # the message may name inner addresses: the log gets it, a client gets the rest
    extension: Mapping[str, Any] = {}  # further members of the problem document


class StartError(ProxyError):
    """The process cannot start."""

    exit_code: ClassVar[int] = 1


class SettingsError(StartError):
    """An environment variable has a value that is not allowed."""

    exit_code = 2


class ListenError(StartError):
    """The address is taken, or it is not one of this machine."""


class ModelRefusedError(StartError):
    """The first model that Triton serves lacks what this proxy needs: waiting would not help."""

    exit_code = 3


class EmptyUploadError(ProxyError):
    """There is no image in the request."""

    status, title = 400, "No image"


class MalformedUploadError(ProxyError):
    """The body breaks the rules of HTTP or multipart."""

    status, title = 400, "Malformed body"


class WrongParameterError(ProxyError):
    """The query has an unknown or doubled parameter, or one with a wrong value."""

    status, title = 400, "Wrong parameter"


class NotAcceptableError(ProxyError):
    """None of our representations fits the Accept header."""

    status, title = 406, "Not acceptable"


class UnknownKeyError(ProxyError):
    """The request has no API key, or none that is known."""

    status, title = 401, "Unknown key"
    headers: Mapping[str, str] = {"WWW-Authenticate": 'Bearer realm="analyze"'}


class UploadTooSlowError(ProxyError):
    """The upload did not finish before the request's deadline, or its bytes come too slowly."""

    status, title = 408, "Upload too slow"


class UploadTooLargeError(ProxyError):
    """The file has more bytes than allowed."""

    status, title = 413, "Too many bytes"


class RequestTooLargeError(UploadTooLargeError):
    """The images of one request have more bytes together than can be held."""


class TileTooLargeError(RequestTooLargeError):
    """The images of one tile have more pixels together than one answer may have."""

    title = "Too many pixels"


class ImageTooLargeError(ProxyError):
    """The image has more pixels than allowed, as uploaded or as padded for the network."""

    status, title = 413, "Too many pixels"


class UnsupportedUploadError(ProxyError):
    """The body is of a type that the proxy does not read, or the image is."""

    status, title = 415, "Unsupported upload"
    headers: Mapping[str, str] = {"Accept-Post": "multipart/form-data, image/jpeg, image/png, image/tiff, image/bmp"}


class WrongFieldError(ProxyError):
    """The form is well-formed, but its fields are not the ones that are asked for."""

    status, title = 422, "Wrong form field"


class DamagedImageError(ProxyError):
    """The file has an image's header, but the rest is missing or damaged."""

    status, title = 422, "Damaged image"


class NoImageAnsweredError(ProxyError):
    """Each image of a tile has its own problem; the problem document holds them all."""

    status, title = 422, "No image answered"

    def __init__(self, message: str, images: list[dict[str, Any]]) -> None:
        super().__init__(message)
        self.extension = {"images": images}


class TooMuchWorkError(ProxyError):
    """The file would keep a decoder busy for longer than any usual one."""

    status, title = 422, "Too much work"


class UnknownExpectationError(ProxyError):
    """The Expect header asks for something other than 100-continue."""

    status, title = 417, "Unknown expectation"


class TooManyRequestsError(ProxyError):
    """An API key has used up its rate."""

    status, title = 429, "Too many requests"
    headers: Mapping[str, str] = {"Retry-After": "1"}

    def __init__(self, message: str, wait_s: int) -> None:
        super().__init__(message)
        self.headers = {"Retry-After": str(wait_s)}


class SegmenterAnswerError(ProxyError):
    """Triton refuses a correct request, or its answer is not what the model's signature says."""

    status, title = 502, "Wrong answer from Triton"
    headers: Mapping[str, str] = {"Retry-After": "1"}  # the next answer comes from another instance, or a new one
    inside = True


class MismatchedAnswerError(ProxyError):
    """Triton's answer belongs to another request, or was damaged on its way."""

    status, title = 502, "Mismatched answer"
    headers: Mapping[str, str] = {"Retry-After": "5"}  # that Triton is ended, and another one starts
    inside = True


class SegmenterAwayError(ProxyError):
    """Triton cannot be reached, or it does not serve the model."""

    status, title = 503, "Triton is away"
    headers: Mapping[str, str] = {"Retry-After": "5"}
    inside = True


class WrongModelError(ProxyError):
    """The served model lacks the signature or the parameters that this proxy needs."""

    status, title = 503, "Wrong model"
    headers: Mapping[str, str] = {"Retry-After": "60"}  # somebody has to publish another model
    inside = True


class NotReadyError(ProxyError):
    """The model cannot be asked at the moment."""

    status, title = 503, "Not ready"
    headers: Mapping[str, str] = {"Retry-After": "5"}
    inside = True


class ModelChangedError(ProxyError):
    """The images of one tile were answered by two models: a new one is being put in place."""

    status, title = 503, "Model changed"
    headers: Mapping[str, str] = {"Retry-After": "1"}


class QueueFullError(ProxyError):
    """The queue of images is full."""

    status, title = 503, "Queue full"
    headers: Mapping[str, str] = {"Retry-After": "1"}  # a full queue empties in seconds


class SegmenterSlowError(ProxyError):
    """Triton did not answer in time."""

    status, title = 504, "Triton is slow"
    headers: Mapping[str, str] = {"Retry-After": "5"}
    inside = True


class DeadlinePassedError(ProxyError):
    """The image was not answered before its deadline."""

    status, title = 504, "Deadline passed"
    headers: Mapping[str, str] = {"Retry-After": "5"}
