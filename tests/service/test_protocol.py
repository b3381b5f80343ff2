"""Messages: strict validation from clients, exact encoding from the server."""

from __future__ import annotations

import json
from fractions import Fraction
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import InputError, NotFound, TimbreError, Unprocessable
from service import protocol

WINDOW = protocol.Window(
    start=0.0,
    end=2.0,
    start_sample=0,
    end_sample=96_000,
    scores={"violin": 0.75, "piano": 0.25},
    labels=("violin",),
    version="1",
    age_ms=protocol.Age(total=3.0, waiting=1.0, features=1.0, queue=0.5, model=0.5),
)
SERVER_MESSAGES = [
    protocol.Ready(
        stream="a1",
        model="m",
        version="1",
        labels=("x", "y"),
        window=2.0,
        hop=0.5,
        sample_rate=22_050,
    ),
    WINDOW,
    protocol.Dropped(from_sample=1, to_sample=2, reason="late"),
    protocol.Warn(kind="clipping", detail="too loud", from_sample=7),
    protocol.Summary(
        reason="idle",
        samples_received=9,
        samples_processed=5,
        samples_dropped=3,
        samples_tail=1,
        windows=2,
    ),
    protocol.failure(NotFound("no such thing")),
]


def start(**fields: object) -> str:
    return json.dumps({"type": "start", "sample_rate": 48_000, **fields})


def test_a_start_needs_only_its_sample_rate_and_has_the_documented_defaults() -> None:
    assert protocol.parse_client(start()) == protocol.Start(
        sample_rate=48_000,
        encoding="pcm_s16le",
        channels=1,
        hop=0.5,
        on_overload="latest",
        numbered=False,
        first_sample=0,
    )


@pytest.mark.parametrize("message", SERVER_MESSAGES, ids=lambda message: message.type)
def test_every_server_message_reads_back_as_it_was_written(message: protocol.ServerMessage) -> None:
    assert protocol.parse_server(protocol.encode(message)) == message


@pytest.mark.parametrize(
    "message", [protocol.Stop(), protocol.Start(sample_rate=8_000, hop=1, numbered=True)]
)
def test_every_client_message_reads_back_as_it_was_written(message: protocol.ClientMessage) -> None:
    assert protocol.parse_client(protocol.encode(message)) == message


def test_a_client_ignores_fields_that_a_later_server_may_add() -> None:
    text = json.dumps({**json.loads(protocol.encode(WINDOW)), "mood": "calm"})
    assert protocol.parse_server(text) == WINDOW


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("labels", 3),
        ("labels", [1]),
        ("labels", None),
        ("age_ms", "fast"),
        ("age_ms", []),
        ("age_ms", {}),
        ("scores", [1]),
        ("scores", {"a": "high"}),
        ("scores", {"a": None}),
        ("start", "0"),
        ("start_sample", 1.5),
        ("version", 1),
    ],
)
def test_a_client_rejects_a_server_whose_fields_have_other_types(field: str, value: Any) -> None:
    message = {**json.loads(protocol.encode(WINDOW)), field: value}
    with pytest.raises(InputError, match="missing field" if value == {} else field):
        protocol.parse_server(json.dumps(message))


def test_a_client_takes_reasons_that_a_later_server_may_have() -> None:
    dropped = protocol.parse_server(
        '{"type": "dropped", "from_sample": 0, "to_sample": 1, "reason": "moon"}'
    )
    assert dropped == protocol.Dropped(from_sample=0, to_sample=1, reason=cast("Any", "moon"))


@pytest.mark.parametrize("number", ["1e999", "-1e999", "1" + "0" * 400, "9" * 5_000])
def test_a_number_that_no_float_holds_is_rejected(number: str) -> None:
    with pytest.raises(InputError):
        protocol.parse_client(f'{{"type": "start", "sample_rate": 8000, "hop": {number}}}')


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "JSON"),
        ("{", "JSON"),
        ("[" * 100_000, "JSON"),
        ("[1]", "object"),
        ("null", "object"),
        ("{}", "type"),
        ('{"type": "begin"}', "begin"),
        ('{"type": ["start"]}', "start"),
        ('{"type": "start"}', "sample_rate"),
        (start(sample_rat=1), "sample_rat"),
        ('{"type": "end", "reason": "tired"}', "reason"),
        (start(sample_rate="48000"), "sample_rate"),
        (start(sample_rate=48_000.0), "sample_rate"),
        (start(sample_rate=True), "sample_rate"),
        (start(numbered=1), "numbered"),
        (start(hop="0.5"), "hop"),
        (start(encoding=7), "encoding"),
        (start(hop=float("nan")), "NaN"),
        ('{"type":"start","sample_rate":' + "9" * 5_000 + "}", "JSON"),
    ],
)
def test_an_invalid_message_is_rejected_by_name(text: str, named: str) -> None:
    with pytest.raises(InputError, match=named) as caught:
        protocol.parse_client(text)
    assert not isinstance(caught.value, Unprocessable)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    "fields",
    [
        {"sample_rate": 7_999},
        {"sample_rate": 192_001},
        {"channels": 0},
        {"channels": 9},
        {"first_sample": -1},
        {"first_sample": 2**53},
        {"hop": 0},
        {"hop": -1.5},
        {"encoding": "mp3"},
        {"on_overload": "panic"},
    ],
    ids=str,
)
def test_a_value_out_of_range_is_rejected_by_name(fields: dict[str, object]) -> None:
    with pytest.raises(Unprocessable, match=next(iter(fields))):
        protocol.parse_client(start(**fields))


@pytest.mark.parametrize("text", ["", "a" * 65, "a b", "a/b", "ö", "a\n", "٣", "\ud800"], ids=ascii)
def test_a_name_that_is_not_that_of_a_source_is_rejected_by_the_name_of_its_field(text):
    for good in ("a", "A-b_c.1", "a" * 64):
        protocol.check_source("node", good)
    with pytest.raises(Unprocessable, match=r"^node=.* must be 1 to 64 of letters, digits"):
        protocol.check_source("node", text)


def test_a_numbered_frame_carries_its_index_and_its_audio() -> None:
    first, pcm = protocol.unnumber(protocol.number(2**40, b"\1\2\3\4"))
    assert (first, bytes(pcm)) == (2**40, b"\1\2\3\4")


@pytest.mark.parametrize("frame", [b"", b"1234567", b"\xff" * 10])
def test_a_numbered_frame_with_an_invalid_index_is_rejected(frame: bytes) -> None:
    with pytest.raises(InputError):
        protocol.unnumber(frame)


def test_every_error_has_a_code_of_its_own() -> None:
    def tree(kind: type[TimbreError]) -> list[type[TimbreError]]:
        return [kind, *(each for child in kind.__subclasses__() for each in tree(child))]

    # A class without a title is told as the one above it.
    named = [kind for kind in tree(TimbreError) if "title" in vars(kind)]
    codes = [protocol.code_of(kind("")) for kind in named]
    assert len(set(codes)) == len(codes)
    assert "bad-input" in codes


def test_a_client_understands_a_server_of_the_version_before_and_sends_it_nothing_unknown() -> None:
    message = json.loads(protocol.encode(WINDOW))
    del message["age_ms"]["waiting"]
    window = protocol.parse_server(json.dumps(message))
    assert isinstance(window, protocol.Window)
    assert window.age_ms.waiting == 0.0
    assert "captured_at" not in json.loads(protocol.encode(protocol.Start(sample_rate=48_000)))


def test_the_time_of_capture_is_sent_and_read() -> None:
    start = protocol.Start(sample_rate=48_000, captured_at="2026-05-31T06:30:00.250Z")
    assert protocol.parse_client(protocol.encode(start)) == start
    assert start.captured == 1_780_209_000.25


@pytest.mark.parametrize(
    "text", ["yesterday", "2026-05-31", "2026-05-31T06:30:00", "2026-13-01T00:00:00Z", "0", "NaN"]
)
def test_a_time_of_capture_that_is_not_rfc_3339_is_rejected(text: str) -> None:
    with pytest.raises(Unprocessable, match="captured_at"):
        protocol.parse_client(start(captured_at=text))


RATES = st.integers(8_000, 192_000)


@given(rate=RATES, position=st.integers(0, 2**50))
def test_positions_are_the_nearest_sample_even_after_years(rate, position):
    exact = Fraction(position * rate, 22_050)
    assert abs(
        protocol.SampleGrid(client_rate=rate, model_rate=22_050).to_client(position) - exact
    ) <= Fraction(1, 2)


@given(rate=RATES, window=st.integers(0, 2**30))
def test_a_client_that_begins_at_a_windows_start_gets_that_window(rate, window):
    grid = protocol.SampleGrid(client_rate=rate, model_rate=22_050)
    start = window * 512
    assert grid.to_model(grid.to_client(start)) <= start
    assert grid.to_client(grid.to_model(grid.to_client(start))) >= grid.to_client(start)


@given(rate=RATES, position=st.integers(0, 2**53))
def test_no_window_begins_before_the_clients_first_sample(rate, position):
    grid = protocol.SampleGrid(client_rate=rate, model_rate=22_050)
    first = grid.to_model(position)
    assert grid.to_client(first) >= position
    assert first == 0 or grid.to_client(first - 1) < position
