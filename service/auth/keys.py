"""An API key: fields, scopes, generation, digest."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, TypeAlias, get_args

from common.errors import Unprocessable

Scope: TypeAlias = Literal["classify", "stream", "events", "records", "metrics", "admin"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
PATTERN = re.compile(r"timbre_([0-9a-f]{12})_([\w-]{43})", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class Key:
    """One key, without its secret."""

    id: str
    name: str
    """Of its owner, for people."""
    scopes: tuple[str, ...]
    digest: str
    """SHA-256 of the whole key, hex. The secret is long and random: no slow hash is needed."""
    rate: float
    """Requests per second, and as many at once."""
    streams: int
    """Streams open at one time."""
    created: str
    """ISO 8601, UTC."""
    revoked: str
    """Time of revocation, ISO 8601; empty while it is valid."""

    def __post_init__(self) -> None:
        """Raises Unprocessable on invalid fields."""
        unknown = [scope for scope in self.scopes if scope not in SCOPES]
        if unknown or not self.scopes:
            raise Unprocessable(
                f"scopes of key {self.id!r} are {unknown or 'none'}; known: {', '.join(SCOPES)}"
            )
        # Written so that NaN fails it too.
        if not 0 < self.rate < float("inf") or self.streams < 1:
            raise Unprocessable(
                f"rate={self.rate} and streams={self.streams} of key {self.id!r} must be positive"
            )

    def matches(self, text: str) -> bool:
        """Return whether a text is this key, and it is not revoked."""
        return hmac.compare_digest(_digest(text), self.digest) and not self.revoked


def create_key(name: str, *, scopes: tuple[str, ...], rate: float, streams: int) -> tuple[Key, str]:
    """Return a new key and its text, which is stored nowhere. Raises Unprocessable."""
    if not name.strip() or not name.isprintable():
        raise Unprocessable(f"invalid key name: {name!r}")
    ident = secrets.token_hex(6)
    text = f"timbre_{ident}_{secrets.token_urlsafe(32)}"
    key = Key(
        id=ident,
        name=name,
        scopes=scopes,
        digest=_digest(text),
        rate=rate,
        streams=streams,
        created=now(),
        revoked="",
    )
    return key, text


def now() -> str:
    """Return the current time, ISO 8601, UTC, in seconds."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
