"""The file of `timbre monitor`: its sources and sinks, read strictly."""

from __future__ import annotations

import itertools
import tomllib
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from common.errors import InputError, TimbreError, Unprocessable
from common.mapping import read_settings
from models.events import HIGHEST
from service.hosts import MAX_PORT
from service.monitor.sinks.base import Sink
from service.protocol import SOURCE, check_source
from service.settings import Settings

MAX_SOURCES = 64
FOLDER = "folder:"
SECRETS = ("password", "secret", "token")
"""Keys of sinks whose values are in no log."""


@dataclass(frozen=True, kw_only=True)
class SourceSettings:
    """One table `[[sources]]`."""

    name: str
    """1 to 64 of letters, digits, `-_.`."""
    input: str
    """mic, device:NAME, stdin, file:PATH, folder:PATH, rtsp://... or http://..."""
    model: str = "instruments"
    hop: float = 0.5
    """Seconds between windows."""
    loop: bool = False
    """Whether a file begins anew when it ends."""
    publish: bool = False
    """Whether its events also go to the server's `GET /v1/events`."""
    dead_after: float = 60.0
    """Seconds of silence or clipping after which the source counts as dead; 1 or more."""
    event_settings: dict[str, dict[str, float]] = field(default_factory=dict)
    """By label, or by `*` for all: some of threshold, off, gap and min_length."""
    keep: Literal["", "events"] = ""
    """Empty: no sound is kept. `events`: that of each event, as WAV files."""
    keep_path: str = "kept"
    """Folder of these files; each source has one in it."""
    keep_seconds: float = 2.0
    """Seconds kept before and after an event, up to 30."""
    keep_bytes: int = 2**30
    """Of all files of the source, 1 MB or more; then the oldest are removed."""

    def __post_init__(self) -> None:
        """Raises Unprocessable for a value outside its limits."""
        check_source("name", self.name)
        try:
            self._check()
        except Unprocessable as error:
            raise Unprocessable(f"source {self.name!r}: {error}") from None

    def _check(self) -> None:
        if not self.hop > 0:
            raise Unprocessable(f"hop={self.hop} must be more than 0 s")
        if not self.dead_after >= 1:
            raise Unprocessable(f"dead_after={self.dead_after} must be 1 s or more")
        self._check_keep()
        if self.loop and (self.input.startswith(FOLDER) or "://" in self.input):
            raise Unprocessable(f"loop is for files, not for {self.input.partition(':')[0]}:")
        for label, values in self.event_settings.items():
            for name, value in values.items():
                if name not in HIGHEST or not 0 <= value <= HIGHEST[name]:
                    limits = ", ".join(f"{each} 0 to {most:g}" for each, most in HIGHEST.items())
                    raise Unprocessable(
                        f"event_settings.{label}.{name}={value} is none of {limits}"
                    )

    def _check_keep(self) -> None:
        if not 0 <= self.keep_seconds <= 30:
            raise Unprocessable(f"keep_seconds={self.keep_seconds} must be between 0 and 30 s")
        if self.keep_bytes < 10**6:
            raise Unprocessable(f"keep_bytes={self.keep_bytes} must be 1000000 or more")
        if self.keep and self.input.startswith(FOLDER):
            raise Unprocessable("keep is not for a folder: its recordings are there already")


@dataclass(frozen=True, kw_only=True)
class MonitorSettings:
    """The whole file."""

    sources: list[SourceSettings]
    sinks: list[dict[str, Any]]
    """By `kind`; what else each may hold is said by that kind."""
    server: str = ""
    """Address of a server; empty: the models run in this process."""
    artefacts: str = ""
    """Folder of the models that run in this process; empty: the shipped ones."""
    ca: str = ""
    """PEM file of the certificates to trust for `server`."""
    metrics_port: int = 0
    """Port on which `GET /metrics` is answered, without a key and without TLS; 0: none."""
    metrics_host: str = "127.0.0.1"
    """Address to listen on for it."""
    insecure: bool = False
    """Allow one beyond loopback, where everybody who reaches it reads the metrics."""

    def __post_init__(self) -> None:
        """Raises Unprocessable for names that are there twice, or no source or sink.

        Raises NotAllowed for metrics that other machines reach.
        """
        for what, count in (("sources", len(self.sources)), ("sinks", len(self.sinks))):
            if not 1 <= count <= MAX_SOURCES:
                raise Unprocessable(f"there must be 1 to {MAX_SOURCES} {what}, not {count}")
        names = Counter(source.name for source in self.sources)
        if twice := [name for name, count in names.items() if count > 1]:
            raise Unprocessable(f"there are two sources of the name {twice[0]!r}")
        stdin = [source.name for source in self.sources if source.input in {"stdin", "-"}]
        if len(stdin) > 1:
            raise Unprocessable(f"only one source can read stdin, not {' and '.join(stdin)}")
        if not 0 <= self.metrics_port <= MAX_PORT:
            raise Unprocessable(
                f"metrics_port={self.metrics_port} must be between 0 and {MAX_PORT}"
            )
        if self.metrics_port:
            listening = Settings(metrics_host=self.metrics_host, insecure=self.insecure)
            listening.check_exposure("metrics_host", otherwise="add insecure = true")
        if self.server and self.artefacts:
            raise Unprocessable("artefacts is of models in this process, not of those of a server")


def read_config(path: Path) -> MonitorSettings:
    """Return the settings of a file. Raises InputError naming the file, the key and what there is.

    Sinks are checked too, without opening what they write to.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{path} is no TOML: {error}") from error
    try:
        settings = read_settings(MonitorSettings, document, where="", error=InputError)
        for number, table in enumerate(settings.sinks):
            make_sink(table, where=f"sinks[{number}]")
        _check_places(settings.sinks)
        _check_nodes(settings)
    except TimbreError as error:
        raise InputError(f"{path}: {error}") from error
    return settings


def _check_places(sinks: list[dict[str, Any]]) -> None:
    """Two sinks that write to one file would mix; two clients of one name end each other."""
    places: dict[tuple[Any, ...], int] = {}
    for number, table in enumerate(sinks):
        if "path" in table:
            place: tuple[Any, ...] = ("path", table["path"])
        elif table["kind"] == "mqtt":
            # Of its settings, those that it lacks are the same too.
            place = ("node", table.get("node", "timbre"), table["host"], table.get("port", 1883))
        elif table["kind"] == "timbre":
            place = ("node", table["node"], table["url"].rstrip("/"))
        else:
            continue
        if place in places:
            both = f"sinks[{places[place]}] and sinks[{number}]"
            raise InputError(f"{both} have the same {place[0]}: {place[1]!r}")
        places[place] = number


def _check_nodes(settings: MonitorSettings) -> None:
    """A source has at most 64 characters at another server too, where its node is before it."""
    nodes = [table["node"] for table in settings.sinks if table["kind"] == "timbre"]
    for node, source in itertools.product(nodes, settings.sources):
        if not SOURCE.fullmatch(name := f"{node}.{source.name}"):
            raise InputError(f"{name!r} has {len(name)} characters; at most 64 are allowed")


def make_sink(table: Mapping[str, Any], *, where: str) -> Sink:
    """Return the sink of one table `[[sinks]]`. Raises InputError."""
    values = dict(table)
    kind = values.pop("kind", None)
    makers = KINDS if isinstance(kind, str) else {}
    maker = makers.get(str(kind))
    if maker is None:
        raise InputError(f"{where}: unknown kind {kind!r:.40}; known: {', '.join(KINDS)}")
    try:
        return maker(values, where)
    except Unprocessable as error:
        raise InputError(f"{where}: {error}") from error


def _text_file(kind: str) -> Callable[[Mapping[str, Any], str], Sink]:
    def make(values: Mapping[str, Any], where: str) -> Sink:
        from service.monitor.sinks import text_files as files

        settings = read_settings(files.FileSettings, values, where=where, error=InputError)
        lines, head = files.FORMS[kind]
        return files.TextFiles(settings.path, lines, head=head)

    return make


def _archive(values: Mapping[str, Any], where: str) -> Sink:
    from service.archive.database import Archive
    from service.monitor.sinks.text_files import FileSettings

    settings = read_settings(FileSettings, values, where=where, error=InputError)
    return Archive(settings.path)


def _broker(values: Mapping[str, Any], where: str) -> Sink:
    from service.monitor.sinks.mqtt import Mqtt, MqttSettings

    return Mqtt(read_settings(MqttSettings, values, where=where, error=InputError))


def _webhook(values: Mapping[str, Any], where: str) -> Sink:
    from service.monitor.sinks.webhook import Webhook, WebhookSettings

    return Webhook(read_settings(WebhookSettings, values, where=where, error=InputError))


def _parquet(values: Mapping[str, Any], where: str) -> Sink:
    from service.monitor.sinks.parquet import ParquetFiles, ParquetSettings

    return ParquetFiles(read_settings(ParquetSettings, values, where=where, error=InputError))


def _osc(values: Mapping[str, Any], where: str) -> Sink:
    from service.monitor.sinks.osc import Osc, OscSettings

    return Osc(read_settings(OscSettings, values, where=where, error=InputError))


def _timbre(values: Mapping[str, Any], where: str) -> Sink:
    from service.monitor.sinks.timbre_server import ServerSettings, TimbreServer

    return TimbreServer(read_settings(ServerSettings, values, where=where, error=InputError))


def secrets(settings: MonitorSettings) -> list[str]:
    """Return what must be in no log."""
    return [str(table[name]) for table in settings.sinks for name in SECRETS if table.get(name)]


KINDS: dict[str, Callable[[Mapping[str, Any], str], Sink]] = {
    **{kind: _text_file(kind) for kind in ("jsonl", "csv", "audacity", "raven")},
    "sqlite": _archive,
    "parquet": _parquet,
    "mqtt": _broker,
    "webhook": _webhook,
    "osc": _osc,
    "timbre": _timbre,
}
"""How the sink of each kind is made from its table. Raises InputError."""
