"""Every setting of the server, with its unit and default. PROTOCOL.md and BEHAVIOUR.md say what they promise."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path

from common.errors import Unprocessable
from models.store import DEFAULT_PATH

MIB = 2**20
MAX_PORT = 65_535
MAY_BE_NONE = ("port", "workers")
REDIS_VARIABLE = "TIMBRE_REDIS"
"""In the environment: the address of Redis where no option gives it. A command line is read by all
of a machine."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How a server listens, what it serves and where its bounds lie."""

    host: str = "127.0.0.1"
    """Address to listen on."""
    port: int = 8000
    """Port to listen on; 0 takes a free one."""
    gateways: int = 1
    """Processes that share the port."""
    artefacts: Path = DEFAULT_PATH
    """Folder of NAME/VERSION/ artefacts."""
    models: tuple[str, ...] = ()
    """Names to serve; none means all there are."""
    redis: str = ""
    """Address of Redis: redis://, rediss://, unix://, redis+sentinel:// or redis+cluster://; none:
    a queue in here."""
    workers: int = 1
    """With `redis`, processes that run models on this machine; 0 leaves all work to others."""
    keys: str = ""
    """File of API keys, or `redis` for those in Redis; none: everybody who can connect is let in.
    """
    tls_certificate: str = ""
    """PEM file of the certificate and those that lead to its root; with it, https and wss only."""
    tls_key: str = ""
    """PEM file of the certificate's key, without a passphrase."""
    insecure: bool = False
    """Allow listening beyond loopback without keys."""
    allowed_origins: tuple[str, ...] = ()
    """Browser origins, such as https://example.org, that may open streams besides the server's own;
    * means any."""
    cors_origins: tuple[str, ...] = ()
    """Browser origins whose pages may call the HTTP routes; * means any."""

    max_connections: int = 4_096
    """Connections open at one time in one gateway; past it idle ones are closed, oldest first."""
    head_timeout: float = 75.0
    """Seconds within which the whole head of a connection's next request must have arrived."""
    max_body: int = 32 * MIB
    """Bytes of one request's body."""
    max_buffered: int = 256 * MIB
    """Bytes of all request bodies held at one time."""
    body_timeout: float = 30.0
    """Seconds within which a body must have arrived."""
    max_seconds: float = 600.0
    """Seconds of one clip."""
    max_windows: int = 1_200
    """Windows of one clip."""
    max_pixels: int = 50_000_000
    """Pixels of one picture, at most 89 million; read from its header, before it is decoded."""
    max_clips: int = 256
    """Clips and pictures accepted and not yet answered."""
    decode_threads: int = 2
    """Threads that decode clips and pictures and compute features."""
    clip_deadline: float = 30.0
    """Seconds within which a clip or picture must be answered once its body is there."""

    max_batch: int = 32
    """Windows per model call."""
    max_jobs: int = 4_096
    """Jobs waiting for one model, in Redis for all: so many of live streams, and so many of clips.
    """
    max_job_bytes: int = 256 * MIB
    """Bytes of the tensors of those jobs, counted in the same way; with Redis, of those of one
    gateway."""

    max_streams: int = 1_200
    """Streams open at one time in one gateway."""
    max_streams_per_client: int = 1_200
    """Streams open at one time from one address, in one gateway."""
    max_message: int = MIB
    """Bytes of one WebSocket message."""
    max_text: int = 4_096
    """Characters of one text message."""
    min_hop: float = 0.1
    """Seconds, the shortest hop of streams and clips."""
    max_waiting: int = 8
    """Windows of one stream that wait for an answer."""
    window_deadline: float = 2.0
    """Seconds after which a live window is no longer worth answering (on_overload `latest`)."""
    start_timeout: float = 10.0
    """Seconds within which `start` must have arrived."""
    idle_timeout: float = 30.0
    """Seconds without any message after which a stream is ended."""
    send_timeout: float = 10.0
    """Seconds a client may take to read one message."""
    heartbeat: float = 20.0
    """Seconds of quiet after which a client is pinged, so that nothing between takes the line for
    dead."""
    warn_every: float = 30.0
    """Seconds of sound between two warnings of one kind."""
    grace: float = 10.0
    """Seconds between SIGTERM and the end."""

    def __post_init__(self) -> None:
        """Refuse numbers that make no sense. Raises Unprocessable."""
        if not 0 <= self.port <= MAX_PORT:
            raise Unprocessable(f"port={self.port} must be between 0 and {MAX_PORT}")
        for name, kind in TYPES.items():
            value = getattr(self, name)
            # Written so that NaN fails it too.
            if kind in ("int", "float") and name not in MAY_BE_NONE and not value > 0:
                raise Unprocessable(f"{name}={value} must be more than 0")
        if self.workers < 0:
            raise Unprocessable(f"workers={self.workers} must not be negative")


def redis_address(given: str | None = None) -> str:
    """Return the address of Redis, from the environment where none is given. Raises Unprocessable without either."""
    if address := given or os.environ.get(REDIS_VARIABLE):
        return address
    raise Unprocessable(
        f"the address of Redis is missing: --redis URL, or {REDIS_VARIABLE} in the environment"
    )


def is_loopback(host: str) -> bool:
    """Return whether an address to listen on is reached from this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


READERS: dict[str, Callable[[str], object]] = {
    "int": int,
    "float": float,
    "str": str,
    "Path": Path,
    "bool": lambda text: bool(("false", "true").index(text)),
}
TYPES = {field.name: str(field.type) for field in fields(Settings)}


def parse(assignments: list[str]) -> dict[str, object]:
    """Read `name=value` texts; lists are separated by commas. Raises Unprocessable naming what is unknown or wrong."""
    return dict(_parse_one(assignment) for assignment in assignments)


def _parse_one(assignment: str) -> tuple[str, object]:
    name, _, text = assignment.partition("=")
    if name not in TYPES:
        raise Unprocessable(f"unknown setting {name!r}; settings: {', '.join(TYPES)}")
    try:
        return name, _value(TYPES[name], text)
    except ValueError as error:
        raise Unprocessable(f"setting {name}={text!r} is not of type {TYPES[name]}") from error


def _value(kind: str, text: str) -> object:
    if kind.startswith("tuple"):
        return tuple(filter(None, text.split(",")))
    return READERS[kind](text)
