"""`/asyncapi.json` has every message of the stream as `service.protocol` reads and writes it."""

import json
import re
from dataclasses import MISSING, fields

import pytest
from jsonschema import Draft202012Validator, ValidationError

from common.errors import InputError
from common.strict_json import to_json
from service.api_description.asyncapi import AUDIO, asyncapi, message_name, message_schema
from service.protocol import (
    FROM_CLIENT,
    FROM_SERVER,
    OPTIONAL,
    Start,
    encode,
    parse_client,
    parse_server,
)
from service.settings import Settings
from tests.service.api_description.conftest import PROTOCOL, closed

MESSAGES = (*FROM_CLIENT, *FROM_SERVER)
START = {"type": "start", "sample_rate": 48_000}


@pytest.mark.parametrize("kind", MESSAGES, ids=lambda kind: kind.__name__)
def test_every_field_of_a_message_is_described_and_nothing_else(kind, stream_document):
    schema = stream_document["components"]["schemas"][message_name(kind)]
    assert set(schema["properties"]) == {"type", *(field.name for field in fields(kind))}
    needed = {
        field.name
        for field in fields(kind)
        if field.default is MISSING and field.default_factory is MISSING
    }
    assert set(schema["required"]) == {"type", *needed}
    assert schema["properties"]["type"] == {"const": kind.type}


def test_every_message_is_in_the_channel_and_in_one_operation(stream_document):
    operations = stream_document["operations"]
    named = {
        action: {each["$ref"].rpartition("/")[2] for each in operation["messages"]}
        for action, operation in operations.items()
    }
    assert named["receive"] == {AUDIO, *map(message_name, FROM_CLIENT)}
    assert named["send"] == set(map(message_name, FROM_SERVER))
    channel = stream_document["channels"]["stream"]["messages"]
    assert set(channel) == named["receive"] | named["send"]


@pytest.mark.parametrize("kind", MESSAGES, ids=lambda kind: kind.__name__)
def test_every_example_is_read_and_written_by_the_protocol(kind, stream_document):
    message = stream_document["components"]["messages"][message_name(kind)]
    (example,) = [each["payload"] for each in message["examples"]]
    schema = closed(stream_document["components"]["schemas"][message_name(kind)])
    validator = Draft202012Validator(schema)
    validator.validate(example)
    parse = parse_client if kind in FROM_CLIENT else parse_server
    read = parse(to_json(example))
    assert isinstance(read, kind)
    validator.validate(json.loads(encode(read)))


def is_accepted(message):
    try:
        parse_client(to_json(message))
    except InputError:
        return False
    return True


def is_described(message):
    try:
        Draft202012Validator(
            message_schema(Start), format_checker=Draft202012Validator.FORMAT_CHECKER
        ).validate(message)
    except ValidationError:
        return False
    return True


@pytest.mark.parametrize(
    ("field", "inside", "outside"),
    [
        ("sample_rate", [8_000, 192_000], [7_999, 192_001, "48000", 8_000.5]),
        ("channels", [1, 8], [0, 9]),
        ("first_sample", [0, 2**53 - 1], [-1, 2**53]),
        ("hop", [0.001, 1], [0, -1, "1"]),
        ("encoding", ["pcm_s16le", "pcm_f32le", "pcm_s24le"], ["opus", ""]),
        ("on_overload", ["latest", "complete"], ["wait", ""]),
        ("numbered", [True, False], [1, "true"]),
        ("source", ["", "a", "a" * 64, "A-b_c.9"], ["a" * 65, "a b", "\u00e4"]),
        ("captured_at", ["", "2026-05-31T06:30:00.250Z"], ["yesterday", 1]),
        ("event_settings", [{}, {"*": {"gap": 0.5}}], [[], {"*": 1}, {"*": {"gap": "x"}}]),
        ("unknown", [], [1]),
    ],
)
def test_the_bounds_of_start_are_those_that_are_checked(field, inside, outside):
    for value in inside:
        message = START | {field: value}
        assert (is_accepted(message), is_described(message)) == (True, True), message
    for value in outside:
        message = START | {field: value}
        assert (is_accepted(message), is_described(message)) == (False, False), message


def test_the_fields_and_defaults_of_start_are_those_of_the_protocol(stream_document):
    section = PROTOCOL.partition("**`start`**")[2].partition("**Audio**")[0]
    rows = dict(re.findall(r"^\| `(\w+)` \| .* \| (.*?) \|$", section, re.MULTILINE))
    properties = stream_document["components"]["schemas"]["start"]["properties"]
    assert set(rows) == set(properties) - {"type"}
    for name, text in rows.items():
        if name in OPTIONAL or text == "required":
            continue
        default = properties[name]["default"]
        assert text.strip("`") == (str(default).lower() if default is False else str(default))


@pytest.mark.parametrize(
    ("message", "field", "heading"),
    [
        ("dropped", "reason", "**`dropped`**"),
        ("warning", "kind", "**`warning`**"),
        ("end", "reason", "**`end`**, after which"),
    ],
)
def test_the_choices_of_a_field_are_the_rows_of_the_protocol(
    message, field, heading, stream_document
):
    section = PROTOCOL.partition(heading)[2].partition("\n\n**`")[0]
    rows = re.findall(r"^\| `([\w ]+)` \|", section, re.MULTILINE)
    properties = stream_document["components"]["schemas"][message]["properties"]
    assert properties[field]["enum"] == rows


@pytest.mark.parametrize(
    ("changes", "protocol", "is_secured"),
    [({}, "ws", False), ({"tls_certificate": "c.pem"}, "wss", False), ({"keys": "k"}, "ws", True)],
)
def test_the_server_says_whether_it_has_tls_and_keys(changes, protocol, is_secured):
    (server,) = asyncapi(Settings(**changes))["servers"].values()
    assert (server["protocol"], "security" in server) == (protocol, is_secured)
