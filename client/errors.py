"""Everything that can go wrong in the client.

ClientError
├── InputError           a folder, an option or a file cannot be used
├── ServiceAwayError     the service did not answer for longer than the caller waits
├── RefusedError         the service refused the request: status, title and detail of its problem document
└── WrongAnswerError     the answer is not one of this service
"""

from http import HTTPStatus

ABOUT_THE_IMAGE = frozenset(
    {
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        HTTPStatus.UNPROCESSABLE_ENTITY,
    }
)
ABOUT_THE_CALLER = frozenset(
    {
        HTTPStatus.UNAUTHORIZED,
        HTTPStatus.FORBIDDEN,
        HTTPStatus.NOT_FOUND,
        HTTPStatus.METHOD_NOT_ALLOWED,
        HTTPStatus.NOT_ACCEPTABLE,
        HTTPStatus.PROXY_AUTHENTICATION_REQUIRED,
    }
)
# What Pillow raises for a damaged file: SyntaxError and IndexError are of a bad chunk in a PNG
DAMAGED = (OSError, EOFError, IndexError, SyntaxError, ValueError)


class ClientError(Exception):
    """The message says what was wrong and what to do."""


class InputError(ClientError):
    """A folder, an option or a file cannot be used."""


class ServiceAwayError(ClientError):
    """The service did not answer, or had no time, for longer than the caller waits."""


class WrongAnswerError(ClientError):
    """The answer is not one of this service."""


class RefusedError(ClientError):
    """The service refused the request.

    Attributes:
        status: of HTTP.
        title, detail: of the problem document (RFC 9457).
    """

    def __init__(self, status: int, title: str, detail: str) -> None:
        super().__init__(f"{title} ({status}): {detail}")
        self.status, self.title, self.detail = status, title, detail

    @property
    def is_about_the_image(self) -> bool:
        """Whether the same bytes would be refused again, and others might not be."""
        return self.status in ABOUT_THE_IMAGE

    @property
    def is_about_the_caller(self) -> bool:
        """Whether every other image would be refused as well, for example because the API key is unknown."""
        return self.status in ABOUT_THE_CALLER
