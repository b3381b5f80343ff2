"""Every error Timbre reports to a person or a client.

Each class carries what the edges need, so that no edge has a table of its own:
`status` for HTTP, `close_code` for WebSocket (RFC 6455), `title` for the problem document.

    TimbreError
    ├── InputError             the sender's bytes or fields are wrong
    │   ├── UnsupportedMedia   not a sound or picture we read
    │   ├── TooLarge           past a stated bound
    │   └── Unprocessable      well-formed, but cannot be answered
    ├── NotFound               unknown model, version or path
    ├── NotAllowed             rejected by policy
    │   ├── Unauthorised       no valid key
    │   └── Misdirected        for a host that is not this server
    ├── Busy                   over capacity now; may be retried
    │   └── TooMany            past the limits of one key
    ├── Unsupported            a part of a protocol that is not served here
    ├── Late                   the deadline passed before the work was done
    ├── NotFetched             a URL did not give what was asked for
    ├── InsufficientStorage    no room for what is to be kept
    ├── Failed                 every attempt ended with its worker process
    ├── Leaving                the server is shutting down
    └── ArtefactError          an artefact on disk is rejected
        └── Refused            a version is not served; the previous one stays
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar


class TimbreError(Exception):
    """Base of all errors whose message clients may see."""

    status: ClassVar[int] = 500
    close_code: ClassVar[int] = 1011
    title: ClassVar[str] = "Internal error"


class InputError(TimbreError):
    """What was sent cannot be read: malformed, empty, truncated."""

    status = 400
    close_code = 1007
    title = "Bad input"


class UnsupportedMedia(InputError):
    """The bytes are of no kind that is read here."""

    status = 415
    close_code = 1003
    title = "Unsupported media type"


class TooLarge(InputError):
    """A size is past its bound; the message names both."""

    status = 413
    close_code = 1009
    title = "Too large"


class Unprocessable(InputError):
    """Well-formed, but outside what can be answered: rate, range, NaN, too long."""

    status = 422
    title = "Cannot be processed"


class NotFound(TimbreError):
    """No such model, version or path; the message names what there is."""

    status = 404
    close_code = 1008
    title = "Not found"


class NotAllowed(TimbreError):
    """Rejected by policy: a missing scope, a foreign origin, a stream without `start` in time."""

    status = 403
    close_code = 1008
    title = "Not allowed"


class Unauthorised(NotAllowed):
    """A valid key is required."""

    status = 401
    title = "Unauthorised"


class Misdirected(NotAllowed):
    """The request names a host that is not this server."""

    status = 421
    title = "Misdirected request"


class Busy(TimbreError):
    """Over capacity now. Clients may retry after `retry_after` seconds."""

    status = 503
    close_code = 1013
    title = "Busy"

    def __init__(self, message: str, *, retry_after: int = 1) -> None:
        """retry_after: seconds until the sender may try again."""
        super().__init__(message)
        self.retry_after = retry_after


class TooMany(Busy):
    """Past the limits of one key."""

    status = 429
    title = "Too many requests"


class Unsupported(TimbreError):
    """A part of a protocol that this server does not have."""

    status = 501
    title = "Not supported"


class Late(TimbreError):
    """The deadline passed before there was a result."""

    status = 504
    close_code = 1011
    title = "Deadline passed"


class NotFetched(TimbreError):
    """A URL did not give a file: its host does not answer, or with an error."""

    status = 502
    title = "Not fetched"


class InsufficientStorage(TimbreError):
    """No room for what is to be kept: a bound of the server, or a full disk."""

    status = 507
    title = "Insufficient storage"


class Failed(TimbreError):
    """Every attempt ended with the death of its worker process."""

    title = "Work failed"


class Leaving(TimbreError):
    """The server is shutting down and accepts no new work."""

    status = 503
    close_code = 1001
    title = "Shutting down"
    retry_after: ClassVar[int] = 5


class ArtefactError(TimbreError):
    """An artefact is rejected: wrong hash, unknown field, other fingerprint or scores."""

    title = "Artefact refused"


class Refused(ArtefactError):
    """A version is rejected; the previous one stays in service."""

    status = 409
    title = "Version refused"


def error_types(root: type[TimbreError] = TimbreError) -> Iterator[type[TimbreError]]:
    """Yield every subclass of `root` that is loaded, each after its parent."""
    for kind in root.__subclasses__():
        yield kind
        yield from error_types(kind)
