"""The document `/asyncapi.json`: the stream and its messages, made from `service.protocol`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from service.api_description.json_schema import Schema, object_schema
from service.api_description.openapi import LICENCE, VERSION
from service.api_description.operation import component
from service.api_description.schemas import (
    EVENT_SETTINGS_SCHEMA,
    MODEL_VERSION,
    SCORE,
    pattern,
)
from service.encodings import ENCODINGS
from service.protocol import (
    CHANNELS,
    FROM_CLIENT,
    FROM_SERVER,
    INDEX,
    MAX_SAMPLE,
    RATES,
    SOURCE,
    Dropped,
    Failure,
    LabelEvent,
    Ready,
    Start,
    Stop,
    Summary,
    Warn,
    Window,
)
from service.settings import Settings

ADDRESS = "/v1/models/{name}/stream"
AUDIO = "audio"
START_BOUNDS: dict[str, Schema] = {
    "sample_rate": {"minimum": RATES[0], "maximum": RATES[1]},
    "channels": {"minimum": CHANNELS[0], "maximum": CHANNELS[1]},
    "first_sample": {"minimum": 0, "maximum": MAX_SAMPLE - 1},
    "encoding": {"enum": list(ENCODINGS), "description": "How one sample is written."},
    "hop": {"exclusiveMinimum": 0},
    "source": {"pattern": f"^$|{pattern(SOURCE)}"},
    "captured_at": {"anyOf": [{"const": ""}, {"format": "date-time"}]},
    "event_settings": EVENT_SETTINGS_SCHEMA,
}
"""As Start checks them."""
BOUNDS: dict[type[Any], dict[str, Schema]] = {
    Start: START_BOUNDS,
    Window: {"scores": {"additionalProperties": SCORE}},
    LabelEvent: {"peak": SCORE, "mean": SCORE},
}
EXAMPLES: dict[type[Any], Schema] = {
    Start: {"sample_rate": 48_000, "encoding": "pcm_f32le", "hop": 0.5, "events": True},
    Stop: {},
    Ready: {
        "stream": "79fa22e8-1",
        "model": "instruments",
        "version": "2",
        "labels": ["violin", "cello"],
        "window": 2.0,
        "hop": 0.510839,
        "sample_rate": 22_050,
    },
    Window: {
        "start": 0.510839,
        "end": 2.510839,
        "start_sample": 24_520,
        "end_sample": 120_520,
        "scores": {"violin": 0.93, "cello": 0.41},
        "labels": ["violin"],
        "version": "1",
        "age_ms": {"total": 1.4, "waiting": 0.2, "features": 0.2, "queue": 0.05, "model": 0.1},
    },
    LabelEvent: {
        "id": "79fa22e8-1-3",
        "label": "violin",
        "state": "offset",
        "start": 12.260136,
        "end": 31.159864,
        "start_sample": 540_672,
        "end_sample": 1_374_150,
        "peak": 0.97,
        "mean": 0.81,
        "source": "garden",
        "version": "2",
        "not_heard": 0.0,
    },
    Dropped: {"from_sample": 24_520, "to_sample": 120_520, "reason": "overload"},
    Warn: {
        "kind": "clipping",
        "detail": "0.4% of the last 2 s are at full scale: too loud",
        "from_sample": 96_000,
    },
    Summary: {
        "reason": "client ended",
        "samples_received": 480_000,
        "samples_processed": 468_992,
        "samples_dropped": 0,
        "samples_tail": 11_008,
        "windows": 16,
    },
    Failure: {
        "code": "cannot-be-processed",
        "title": "Cannot be processed",
        "detail": "sample_rate=7000 must be between 8000 and 192000",
    },
}
"""By message, without `type`."""


def message_name(kind: type[Any]) -> str:
    """Return the name of a message in the document: two are called `end` on the wire."""
    return "finish" if kind is Stop else str(kind.type)


def message_schema(kind: type[Any]) -> Schema:
    """Return the schema of a message of the stream. Those of clients are closed."""
    found = object_schema(kind, BOUNDS.get(kind), closed=kind in FROM_CLIENT)
    found["properties"] = {"type": {"const": kind.type}} | found["properties"]
    found["required"] = ["type", *found.get("required", [])]
    return found


def asyncapi(settings: Settings) -> Schema:
    """Return the document, with the bounds of a server."""
    kinds = {message_name(kind): kind for kind in (*FROM_CLIENT, *FROM_SERVER)}
    messages: Schema = {name: _message(kind) for name, kind in kinds.items()}
    messages[AUDIO] = _audio(settings)
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Timbre",
            "version": VERSION,
            "description": "Live sound over a WebSocket. The client sends `start` and then audio,"
            " the server `ready` and then an answer for every window: `window` or `dropped`."
            " `end` of the client ends the stream, `end` of the server sums it up.",
            "license": {"name": LICENCE["name"]},
        },
        "defaultContentType": "application/json",
        "servers": {"this": _server(settings)},
        "channels": {"stream": _channel([*kinds, AUDIO])},
        "operations": {
            "receive": _operation("receive", [*map(message_name, FROM_CLIENT), AUDIO]),
            "send": _operation("send", list(map(message_name, FROM_SERVER))),
        },
        "components": {
            "messages": messages,
            "schemas": {name: message_schema(kind) for name, kind in kinds.items()},
            "securitySchemes": {
                "key": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "An API key with the scope `stream`, on servers with keys. A"
                    " page sends it as the subprotocol `timbre.key.KEY`, beside `timbre`.",
                }
            },
        },
    }


def _server(settings: Settings) -> Schema:
    found: Schema = {
        "host": "{host}",
        "protocol": "wss" if settings.tls_certificate else "ws",
        "variables": {
            "host": {
                "default": f"127.0.0.1:{settings.port or 8000}",
                "description": "Name and port of the server.",
            }
        },
    }
    if settings.keys:
        found["security"] = [{"$ref": "#/components/securitySchemes/key"}]
    return found


def _channel(names: list[str]) -> Schema:
    return {
        "address": ADDRESS,
        "summary": "One live stream.",
        "parameters": {"name": {"description": "Name of the model.", "examples": ["instruments"]}},
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in names},
        "bindings": {
            "ws": {
                "method": "GET",
                "query": {
                    "type": "object",
                    "properties": {
                        "version": MODEL_VERSION
                        | {"description": "Stays with this version of the model."}
                    },
                    "additionalProperties": False,
                },
                "bindingVersion": "0.1.0",
            }
        },
    }


def _operation(action: str, names: list[str]) -> Schema:
    return {
        "action": action,
        "channel": {"$ref": "#/channels/stream"},
        "messages": [{"$ref": f"#/channels/stream/messages/{name}"} for name in names],
    }


def _message(kind: type[Any]) -> Schema:
    sender, _, text = (kind.__doc__ or "").partition(": ")
    return {
        "name": kind.type,
        "title": f"{kind.type}, of the {sender.lower()}",
        "summary": " ".join(text.split()),
        "payload": component(message_name(kind)),
        "examples": [{"payload": {"type": kind.type} | dict(EXAMPLES[kind])}],
    }


def _audio(settings: Settings) -> Schema:
    return {
        "name": AUDIO,
        "title": "audio, of the client",
        "summary": f"A binary message of at most {settings.max_message} bytes: whole samples of all"
        f" channels. If `numbered`, it begins with the index of its first sample, {INDEX.size}"
        " bytes, little-endian.",
        "contentType": "application/octet-stream",
        "payload": {"type": "string", "format": "binary"},
    }


def payload_examples() -> Mapping[str, Schema]:
    """Return the example of every message by its name in the document."""
    return {
        message_name(kind): {"type": kind.type} | dict(example)
        for kind, example in EXAMPLES.items()
    }
