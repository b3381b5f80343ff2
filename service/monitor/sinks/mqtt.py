"""A sink that is an MQTT broker, with what Home Assistant needs to find the sources by itself.

Topics are below PREFIX/NODE; the discovery messages are those of Home Assistant's MQTT integration.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import ssl
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from typing import Any

from common.errors import InputError, Unprocessable
from common.strict_json import to_json
from service.archive.documents import document
from service.archive.records import EventRecord, MinuteRecord, ProblemRecord, Record, slug
from service.monitor.sinks.base import SinkError

ON, OFF, ONLINE, OFFLINE = "ON", "OFF", "online", "offline"
EXPIRE_S = 180
"""Seconds without a message after which a label is unknown, not silent; states come each minute."""
TIMEOUT_S = 10.0
TOPIC = re.compile(r"[A-Za-z0-9._-]{1,64}(/[A-Za-z0-9._-]{1,64}){0,7}", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class MqttSettings:
    """The settings of a broker."""

    host: str
    port: int = 1883
    """8883 is usual with TLS."""
    node: str = "timbre"
    """Name of this monitor; another one at the same broker has another."""
    prefix: str = "timbre"
    """Topics begin with it and the node."""
    discovery: str = "homeassistant"
    """Prefix of Home Assistant's discovery; empty: none is published."""
    user: str = ""
    password: str = field(default="", repr=False)
    tls: bool = False
    ca: str = ""
    """PEM file of the certificates to trust; empty: those of the system."""

    def __post_init__(self) -> None:
        """Raises Unprocessable for a value outside its limits."""
        if not 1 <= self.port <= 65_535:
            raise Unprocessable(f"port={self.port} must be between 1 and 65535")
        if not self.host:
            raise Unprocessable("host must name the broker")
        for name, value, may_lack in (
            ("node", self.node, False),
            ("prefix", self.prefix, False),
            ("discovery", self.discovery, True),
        ):
            nested = name != "node" or "/" not in value
            if not (TOPIC.fullmatch(value) and nested) and not (may_lack and not value):
                raise Unprocessable(
                    f"{name}={value!r:.80} must be letters, digits, '-', '_' and '.'"
                    f"{', in parts with / between' if name != 'node' else ''}"
                )
        if self.password and not self.user:
            raise Unprocessable("a password needs a user")
        if self.ca and not self.tls:
            raise Unprocessable("ca needs tls = true")


class Mqtt:
    """Publishes events, states and coverage; connects when there is something to publish."""

    def __init__(self, settings: MqttSettings) -> None:
        """Raises InputError without the package aiomqtt, or for a file of `ca` that is none."""
        self._settings = settings
        self._base = f"{settings.prefix}/{settings.node}"
        self._aiomqtt = _load()
        self._tls = _context(settings) if settings.tls else None
        self._stack = AsyncExitStack()
        self._client: Any = None
        self._watching: asyncio.Task[None] | None = None
        self._states: dict[tuple[str, str], str] = {}
        """Of every label heard so far, by source."""
        self._problems: dict[str, str] = {}

    async def write(self, records: Sequence[Record]) -> int:
        """Publish the first record. Raises SinkError when the broker does not take it."""
        try:
            if self._watching is None or self._watching.done():
                await self._disconnect()
                await self._connect()
            await self._publish_record(records[0])
        except (self._aiomqtt.MqttError, OSError) as error:
            await self._disconnect()
            raise SinkError(f"{self._settings.host}:{self._settings.port}: {error}") from error
        return 1

    async def close(self) -> None:
        """Say that this monitor is offline, as its last will would."""
        if self._client is not None:
            # If that fails, the broker sends the last will.
            with suppress(self._aiomqtt.MqttError):
                await self._publish(f"{self._base}/status", OFFLINE, retain=True)
            await self._disconnect()

    async def _connect(self) -> None:
        settings, topic = self._settings, f"{self._base}/status"
        client = self._aiomqtt.Client(
            hostname=settings.host,
            port=settings.port,
            username=settings.user or None,
            password=settings.password or None,
            identifier=f"timbre-{settings.node}",
            will=self._aiomqtt.Will(topic, OFFLINE, qos=1, retain=True),
            tls_context=self._tls,
            timeout=TIMEOUT_S,
        )
        self._client = await self._stack.enter_async_context(client)
        self._watching = asyncio.create_task(self._watch(client))
        await self._announce_bridge()
        for source, problem in self._problems.items():
            await self._announce_source(source)
            await self._publish(f"{self._base}/{source}/problem", problem, retain=True)
        for source, label in self._states:
            await self._announce_label(source, label)
        await self._publish_states()
        await self._publish(topic, ONLINE, retain=True)

    async def _watch(self, client: Any) -> None:
        """Return when the connection is lost."""
        with suppress(self._aiomqtt.MqttError):
            async for _ in client.messages:
                pass  # nothing is subscribed to

    async def _disconnect(self) -> None:
        stack, self._stack, self._client = self._stack, AsyncExitStack(), None
        if self._watching:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
            self._watching = None
        # It may be gone already.
        with suppress(self._aiomqtt.MqttError):
            await stack.aclose()

    async def _publish_record(self, record: Record) -> None:
        source = record.source
        if source not in self._problems:
            await self._announce_source(source)
            self._problems[source] = OFF
            await self._publish(f"{self._base}/{source}/problem", OFF, retain=True)
        match record:
            case EventRecord():
                await self._publish_event(record)
            case MinuteRecord():
                await self._publish(f"{self._base}/{source}/coverage", to_json(document(record)))
                await self._publish_states(source)
            case ProblemRecord():
                self._problems[source] = ON if record.problem else OFF
                attributes = to_json(document(record))
                await self._publish(f"{self._base}/{source}/why", attributes, retain=True)
                await self._publish(
                    f"{self._base}/{source}/problem", self._problems[source], retain=True
                )

    async def _publish_event(self, event: EventRecord) -> None:
        key = event.source, event.label
        if key not in self._states:
            await self._announce_label(*key)
        self._states[key] = OFF if event.state == "offset" else ON
        await self._publish(f"{self._base}/{event.source}/event", to_json(document(event)))
        await self._publish(self._state_topic(*key), self._states[key], retain=True)

    async def _publish_states(self, source: str | None = None) -> None:
        for key, state in self._states.items():
            if source in {None, key[0]}:
                await self._publish(self._state_topic(*key), state, retain=True)

    async def _announce_bridge(self) -> None:
        node = self._settings.node
        await self._announce(
            unique_id(node, "connected"),
            {
                "name": "Connected",
                "device_class": "connectivity",
                "entity_category": "diagnostic",
                "state_topic": f"{self._base}/status",
                "payload_on": ONLINE,
                "payload_off": OFFLINE,
                "device": self._bridge(),
            },
        )

    async def _announce_source(self, source: str) -> None:
        topic = f"{self._base}/{source}"
        await self._announce(
            unique_id(self._settings.node, source, "problem"),
            {
                "name": "Problem",
                "device_class": "problem",
                "entity_category": "diagnostic",
                "state_topic": f"{topic}/problem",
                "json_attributes_topic": f"{topic}/why",
                "availability_topic": f"{self._base}/status",
                "device": self._device(source),
            },
        )

    async def _announce_label(self, source: str, label: str) -> None:
        await self._announce(
            unique_id(self._settings.node, source, label, of_label=True),
            {
                "name": label,
                "device_class": "sound",
                "state_topic": self._state_topic(source, label),
                "availability_topic": f"{self._base}/status",
                "expire_after": EXPIRE_S,
                "device": self._device(source),
            },
        )

    async def _announce(self, unique: str, document: dict[str, Any]) -> None:
        if self._settings.discovery:
            topic = f"{self._settings.discovery}/binary_sensor/{unique}/config"
            values = {**document, "unique_id": unique, "origin": {"name": "Timbre"}}
            await self._publish(topic, to_json(values), retain=True)

    def _bridge(self) -> dict[str, Any]:
        node = self._settings.node
        return {
            "identifiers": [f"timbre_{unique_id(node)}"],
            "name": node,
            "manufacturer": "Timbre",
        }

    def _device(self, source: str) -> dict[str, Any]:
        node = self._settings.node
        return {
            "identifiers": [f"timbre_{unique_id(node, source)}"],
            "name": source,
            "manufacturer": "Timbre",
            "via_device": f"timbre_{unique_id(node)}",
        }

    def _state_topic(self, source: str, label: str) -> str:
        return f"{self._base}/{source}/label/{slug(label)}"

    async def _publish(self, topic: str, payload: str, *, retain: bool = False) -> None:
        await self._client.publish(topic, payload, qos=1, retain=retain, timeout=TIMEOUT_S)


def unique_id(*parts: str, of_label: bool = False) -> str:
    """Return the name of an entity by node, source and what it tells; no two have the same.

    of_label: the last is a label, which may be called as another entity of the source.
    """
    name = slug("_".join(parts))
    if not any("_" in part for part in parts) and not (of_label and parts[-1] == "problem"):
        return name
    # Where a part ends is not seen.
    whole = "\0".join((*parts, "label" if of_label else ""))
    return f"{name}_{hashlib.sha256(whole.encode()).hexdigest()[:6]}"


def _context(settings: MqttSettings) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=settings.ca or None)
    except (OSError, ssl.SSLError) as error:
        raise InputError(f"ca={settings.ca!r} holds no certificates: {error}") from error


def _load() -> Any:
    try:
        import aiomqtt
    except ImportError as error:
        raise InputError(
            "an MQTT broker needs the package aiomqtt: pip install 'timbre[mqtt]'"
        ) from error
    return aiomqtt
