"""Every setting of the server, with its unit and default.

`tools/settings_page.py` writes SETTINGS.md from the docstrings below.
"""

from __future__ import annotations

import ipaddress
import os
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from common.errors import NotAllowed, Unprocessable
from common.mapping import read_some_settings, split_assignment
from models.providers import ENGINE_TIMEOUT_S, read_names
from models.store import DEFAULT_PATH
from models.verification import LIMIT_S
from service.hosts import MAX_PORT, host_name

MIB = 2**20
MAY_BE_NONE = ("port", "grpc_port", "metrics_port", "workers", "otel_ratio")
CHOICES = {"log_format": ("text", "json"), "log_level": ("info", "debug")}
REDIS_VARIABLE = "TIMBRE_REDIS"
"""Environment variable with the address of Redis: any user can read command lines."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Where a server listens, what it serves, and its limits."""

    host: str = "127.0.0.1"
    """Address to listen on."""
    port: int = 8000
    """Port to listen on; 0 takes a free one."""
    gateways: int = 1
    """Processes that share the port."""
    grpc_port: int = -1
    """Port of the Open Inference Protocol over gRPC; 0 takes a free one, -1: none."""
    metrics_port: int = 0
    """Port on which `GET /metrics` is answered as well; 0: none."""
    metrics_host: str = "127.0.0.1"
    """Address of that port. On loopback, and with `insecure`, it asks for no key and has no TLS."""
    artefacts: Path = DEFAULT_PATH
    """Folder of NAME/VERSION/ artefacts."""
    models: tuple[str, ...] = ()
    """Names of the models to serve; none: all in the folder."""
    redis: str = ""
    """Address of Redis: `redis://`, `rediss://`, `unix://`, `redis+sentinel://` or
    `redis+cluster://`, by default that of the environment variable `TIMBRE_REDIS`; none: the queue
    is in the process."""
    workers: int = 1
    """With `redis`, worker processes on this machine; 0: workers run on other machines only."""
    keys: str = ""
    """File of API keys, or `redis` for those in Redis; none: no authentication."""
    tls_certificate: str = ""
    """PEM file of the certificate and its chain; with it, https and wss only."""
    tls_key: str = ""
    """PEM file of the certificate's private key, without a passphrase."""
    insecure: bool = False
    """Allow listening beyond loopback without keys; of `metrics_host` also where there are some."""
    allowed_hosts: tuple[str, ...] = ()
    """Host names, such as `timbre.example.org`, by which clients reach the server besides the names
    of loopback and `host`, with any port. Other names get 421; none: with keys or beyond loopback
    any name, otherwise only those of the machine itself."""
    allowed_origins: tuple[str, ...] = ()
    """Browser origins, such as `https://example.org`, that may open streams besides the server's
    own; `*`: any."""
    cors_origins: tuple[str, ...] = ()
    """Browser origins whose pages may call the HTTP routes; `*`: any."""

    low_memory: bool = False
    """For boards of 1 GB: ONNX Runtime keeps no memory between two calls, which makes them slower,
    and the limits that are not given are lower (below)."""
    load_timeout: float = LIMIT_S
    """Seconds of a processor that a version may take to load, verify and warm up; then it is
    rejected, as it is after 20 times as many seconds by the clock."""
    providers: tuple[str, ...] = ()
    """What runs networks, of `tensorrt`, `cuda` and `cpu`: tried in the order given, the first
    that gives the golden scores is used; none: all, in this order. Forests run on the processor."""
    engine_timeout: float = ENGINE_TIMEOUT_S
    """Seconds in which TensorRT must have built the engine of a network, once on a machine; then
    the next provider is tried."""

    max_connections: int = 4_096
    """Open connections per gateway; past it idle ones are closed, oldest first. Over gRPC, as many
    connections and as many calls in progress, past which further ones are rejected."""
    head_timeout: float = 75.0
    """Seconds until all headers of a connection's next request must have arrived."""
    max_body: int = 32 * MIB
    """Bytes of one request's body."""
    grpc_max_message: int = 32 * MIB
    """Bytes of one gRPC message, also once unpacked."""
    max_buffered: int = 256 * MIB
    """Bytes of all request bodies, and of all WebSocket messages that are not complete past their
    first 64 KiB, in memory at one time."""
    body_timeout: float = 30.0
    """Seconds until a body must have arrived."""
    max_seconds: float = 600.0
    """Seconds of audio in one clip."""
    max_samples: int = 57_600_000
    """Samples of one clip as stored, frames x channels: 10 minutes of 48 kHz stereo."""
    ffmpeg: bool = False
    """Read sound files of other kinds (M4A, AAC, AMR, WMA) with the program `ffmpeg`, in a process
    with limits of time and memory and without network protocols."""
    max_windows: int = 1_200
    """Windows of one clip; rows of one tensor of the Open Inference Protocol."""
    max_pixels: int = 52_000_000
    """Pixels of one picture, at most 89 million, checked in its header before decoding; of a JPEG
    of one pass, which is reduced while it is decoded, four times as many may be stored. Decoding
    takes up to 9 bytes of memory a pixel, 16 for WebP and AVIF, and twice the size of the file, in
    each of `decode_threads`."""
    max_clips: int = 256
    """Clips, pictures and requests of tensors accepted and not yet answered."""
    decode_threads: int = 2
    """Threads that decode clips and pictures and compute features."""
    clip_deadline: float = 30.0
    """Seconds from the arrival of a clip's or picture's body to its response."""

    max_batch: int = 32
    """Windows in one model call."""
    max_jobs: int = 4_096
    """Pending jobs of one model, live windows and clips counted separately; with Redis, of all
    models and gateways."""
    max_job_bytes: int = 256 * MIB
    """Bytes of the tensors of those jobs, counted in the same way; with Redis, of all models of one
    gateway."""

    max_streams: int = 1_200
    """Open streams per gateway."""
    max_streams_per_client: int = 1_200
    """Open streams from one client address, per gateway."""
    max_shedding: float = 10.0
    """Seconds of load shedding after which new streams are rejected, until it ends."""
    max_message: int = MIB
    """Bytes of one WebSocket message."""
    max_text: int = 4_096
    """Characters of one text message."""
    min_hop: float = 0.1
    """Seconds, the shortest hop of streams and clips."""
    max_waiting: int = 8
    """Windows of one stream that wait for a response."""
    window_deadline: float = 2.0
    """Seconds after which a live window is dropped as late (`on_overload`: `latest`)."""
    start_timeout: float = 10.0
    """Seconds until `start` must have arrived."""
    idle_timeout: float = 30.0
    """Seconds without a message after which a stream ends."""
    send_timeout: float = 10.0
    """Seconds a client may take to read one message."""
    heartbeat: float = 20.0
    """Seconds without traffic after which a client is pinged, so that proxies do not close an idle
    connection."""
    warn_every: float = 30.0
    """Seconds of audio between two warnings of one kind."""
    grace: float = 10.0
    """Seconds from SIGTERM until unfinished work is cancelled."""

    log_format: str = "text"
    """`text`: log lines for the eye; `json`: a JSON object per line."""
    log_level: str = "info"
    """`info`: Timbre's log lines and the warnings of libraries; `debug`: all that libraries log."""
    otel: str = ""
    """Where traces go (extra `otel`): the http:// or https:// address of an OTLP receiver, or
    `console` for stdout; none: that of `OTEL_EXPORTER_OTLP_ENDPOINT`, without which nothing is
    traced."""
    otel_ratio: float = 0.01
    """Share of requests and streams, 0 to 1, whose traces are kept though nothing fails; what is
    dropped, late or failed is always kept, and what the caller has sampled."""

    archive: str = ""
    """SQLite database of what monitors of other machines send to `POST /v1/records`; with codes of
    strftime such as `%Y-%m`, one for each time. None: they cannot."""
    max_archive_bytes: int = 4_096 * MIB
    """Bytes of these databases; past it records get 507."""

    trainings: str = ""
    """Folder of labelled clips and of trainings that are started over HTTP, on a disk of this
    machine; none: neither is possible."""
    max_trainings: int = 1
    """Trainings that run at one time; others are queued."""
    max_queued_trainings: int = 16
    """Trainings that are queued; past it new ones get 503."""
    max_kept_trainings: int = 100
    """Trainings in the folder, ended ones included; past it new ones get 507."""
    training_limit: float = 86_400.0
    """Seconds that a training may take; then it is ended."""
    max_labelled_clips: int = 20_000
    """Labelled clips and pictures in the folder."""
    max_labelled_bytes: int = 4_096 * MIB
    """Bytes of labelled clips and pictures in the folder, with their notes."""

    url_hosts: tuple[str, ...] = ()
    """Hosts from which `classify?url=` may fetch a file: `sounds.example.org`, `*.example.org` (all
    below it), with a port where it is not that of the scheme; none: no URL is fetched. Private
    addresses are never connected to."""
    url_timeout: float = 10.0
    """Seconds until a file must have been fetched."""

    def __post_init__(self) -> None:
        """Reject numbers out of range. Raises Unprocessable."""
        self._check_ports()
        for name, kind in TYPES.items():
            value = getattr(self, name)
            # Written so that NaN fails it too.
            if kind in ("int", "float") and name not in MAY_BE_NONE and not value > 0:
                raise Unprocessable(f"{name}={value} must be more than 0")
        if self.workers < 0:
            raise Unprocessable(f"workers={self.workers} must not be negative")
        read_names(self.providers)
        if not 0 <= self.otel_ratio <= 1:
            raise Unprocessable(f"otel_ratio={self.otel_ratio:g} must be between 0 and 1")
        for name in self.allowed_hosts:
            host_name(name)
        for name, known in CHOICES.items():
            if (chosen := getattr(self, name)) not in known:
                raise Unprocessable(f"{name}={chosen!r:.80} must be one of {', '.join(known)}")

    @property
    def guards_metrics(self) -> bool:
        """Whether the port for metrics asks for a key, and has TLS where the server has."""
        return bool(self.keys) and not self.insecure and not is_loopback(self.metrics_host)

    def check_exposure(self, *names: str, otherwise: str) -> None:
        """Raise NotAllowed for an address that other machines reach, without keys and `insecure`.

        names: of the addresses that are listened on. otherwise: how to allow it.
        """
        for name in names:
            host = getattr(self, name)
            if not (is_loopback(host) or self.keys or self.insecure):
                raise NotAllowed(
                    f"{name}={host or 'every address'} can be reached from other machines and"
                    f" there are no keys; {otherwise}"
                )

    @property
    def log_options(self) -> dict[str, Any]:
        """Arguments of `log.configure`; the passwords in the addresses are as written and as meant.

        Raises ValueError on an address that no client takes either.
        """
        passwords: set[str] = set()
        for address in (self.redis, self.otel):
            parts = urlsplit(address)
            pairs = [pair.partition("=") for pair in parts.query.split("&")]
            passwords |= {parts.password or ""} | {
                text for name, _, text in pairs if name == "password"
            }
        return {
            "as_json": self.log_format == "json",
            "debug": self.log_level == "debug",
            "secrets": passwords | set(map(unquote, passwords)),
        }

    def _check_ports(self) -> None:
        for name in ("port", "metrics_port"):
            if not 0 <= (port := getattr(self, name)) <= MAX_PORT:
                raise Unprocessable(f"{name}={port} must be between 0 and {MAX_PORT}")
        if not -1 <= self.grpc_port <= MAX_PORT:
            raise Unprocessable(f"grpc_port={self.grpc_port} must be between -1 and {MAX_PORT}")
        # Several gateways share their ports: the kernel would mix what comes to both.
        others = {"port": self.port}
        if self.metrics_host == self.host:
            others["metrics_port"] = self.metrics_port
        for name, port in others.items():
            if self.grpc_port == port > 0:
                raise Unprocessable(f"{name} and grpc_port are both {port}")


def redis_address(given: str | None = None) -> str:
    """Return the address of Redis, by default from the environment.

    Raises Unprocessable if it is in neither.
    """
    if address := given or os.environ.get(REDIS_VARIABLE):
        return address
    raise Unprocessable(
        f"the address of Redis is missing: --redis URL, or {REDIS_VARIABLE} in the environment"
    )


def is_loopback(host: str) -> bool:
    """Return whether an address to listen on is reachable from this machine only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


LOW_MEMORY: dict[str, Any] = {
    "max_body": 8 * MIB,
    "max_buffered": 32 * MIB,
    "max_samples": 14_400_000,
    "max_pixels": 12_000_000,
    "max_clips": 32,
    "decode_threads": 1,
    "max_batch": 8,
    "max_jobs": 512,
    "max_job_bytes": 32 * MIB,
    "max_streams": 100,
    "max_connections": 512,
}
"""The limits with `low_memory`, but those that are given."""
TYPES = {field.name: str(field.type) for field in fields(Settings)}


def parse(assignments: list[str]) -> dict[str, Any]:
    """Read `name=value` texts, lists with commas; with `low_memory` its limits as well.

    Raises Unprocessable on an unknown setting.
    """
    pairs = dict(split_assignment(text, error=Unprocessable) for text in assignments)
    given = read_some_settings(Settings, pairs, error=Unprocessable)
    return (LOW_MEMORY if given.get("low_memory") else {}) | given
