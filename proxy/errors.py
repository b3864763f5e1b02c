"""Everything that can go wrong in the proxy; each leaf knows its HTTP status or exit code.

ProxyError
├── StartError                      ends the process
│   ├── SettingsError               exit 2  an environment variable has a wrong value
│   ├── ListenError                 exit 1  the address cannot be listened on
│   └── WorkerError                 exit 1  a worker ends whenever it is started
├── EmptyUploadError                400     no body, or nothing in it
├── MalformedUploadError            400     the body breaks the rules of HTTP or multipart
├── NotAcceptableError              406     no answer fits the Accept header
├── UploadTooSlowError              408     the body was not there by the deadline
├── UploadTooLargeError             413     too many bytes
├── ImageTooLargeError              413     too many pixels
├── UnsupportedUploadError          415     neither JPEG nor PNG, by its header or inside
├── WrongFieldError                 422     a form that is not one file in the field `image`
├── DamagedImageError               422     it starts as an image and breaks off
├── SegmenterAnswerError            502     Triton answers what the contract does not allow
├── SegmenterAwayError              503     Triton cannot be reached or does not serve the model
├── ContractError                   503     the served model is not one this proxy can ask
├── NotReadyError                   503     one of the two above, found before the request came
├── QueueFullError                  503     as many tiles wait as may
├── SegmenterSlowError              504     Triton did not answer in time
└── DeadlinePassedError             504     the tile waited longer than it may
"""

from typing import ClassVar


class ProxyError(Exception):
    """The message says what was wrong, what was expected and what to do."""

    status: ClassVar[int] = 500
    title: ClassVar[str] = "Internal error"
    headers: ClassVar[dict[str, str]] = {}  # what the answer carries beside the problem document


class StartError(ProxyError):
    """The process cannot start."""

    exit_code: ClassVar[int] = 1


class SettingsError(StartError):
    """An environment variable has a value that it may not have."""

    exit_code = 2


class ListenError(StartError):
    """The address is taken or not ours."""


class WorkerError(StartError):
    """One of several workers ends soon after each of its starts."""


class EmptyUploadError(ProxyError):
    """There is no image in the request."""

    status, title = 400, "No image"


class MalformedUploadError(ProxyError):
    """The body does not keep to HTTP or multipart."""

    status, title = 400, "Malformed body"


class NotAcceptableError(ProxyError):
    """No representation that we have fits the Accept header."""

    status, title = 406, "Not acceptable"


class UploadTooSlowError(ProxyError):
    """The whole body was not there by the request's deadline."""

    status, title = 408, "Upload too slow"


class UploadTooLargeError(ProxyError):
    """More bytes than allowed."""

    status, title = 413, "Too many bytes"


class ImageTooLargeError(ProxyError):
    """More pixels than allowed, as uploaded or as padded for the network."""

    status, title = 413, "Too many pixels"


class UnsupportedUploadError(ProxyError):
    """Not a kind of body, or not a kind of image, that is read here."""

    status, title = 415, "Unsupported upload"
    headers: ClassVar[dict[str, str]] = {"Accept-Post": "multipart/form-data, image/jpeg, image/png"}


class WrongFieldError(ProxyError):
    """A well-formed form that is not exactly one file in the field `image`."""

    status, title = 422, "Wrong form field"


class DamagedImageError(ProxyError):
    """The header is an image's, the rest is missing or damaged."""

    status, title = 422, "Damaged image"


class SegmenterAnswerError(ProxyError):
    """Triton refuses a request that keeps the contract, or its answer breaks it."""

    status, title = 502, "Wrong answer from Triton"


class SegmenterAwayError(ProxyError):
    """Triton cannot be reached, or it does not serve the model."""

    status, title = 503, "Triton is away"
    headers: ClassVar[dict[str, str]] = {"Retry-After": "5"}


class ContractError(ProxyError):
    """The served model has not the signature or the parameters that this proxy needs."""

    status, title = 503, "Wrong model"
    headers: ClassVar[dict[str, str]] = {"Retry-After": "60"}  # somebody has to publish another model


class NotReadyError(ProxyError):
    """The model cannot be asked at the moment."""

    status, title = 503, "Not ready"
    headers: ClassVar[dict[str, str]] = {"Retry-After": "5"}


class QueueFullError(ProxyError):
    """As many tiles wait as may."""

    status, title = 503, "Queue full"
    headers: ClassVar[dict[str, str]] = {"Retry-After": "1"}  # a queue of tiles empties in seconds


class SegmenterSlowError(ProxyError):
    """Triton did not answer in time."""

    status, title = 504, "Triton is slow"


class DeadlinePassedError(ProxyError):
    """The tile was not answered by its deadline."""

    status, title = 504, "Deadline passed"
