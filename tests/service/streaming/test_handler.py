"""The live stream over a real socket: results, accounts, rejections and closes."""

import asyncio
import gc
import json
import time

import aiohttp
import numpy as np
import pytest
from aiohttp import WSMsgType

from features.streaming import StreamingExtractor
from service import protocol
from service.streaming import handler
from tests.service.conftest import RATE, begin, noise, pcm, rest_of, tone, until, wav

MS = 1e-3
HOP = 11_264


def of_type(messages, kind):
    return [
        message for message in messages if isinstance(message, dict) and message["type"] == kind
    ]


def adds_up(end):
    return (
        end["samples_received"]
        == end["samples_processed"] + end["samples_dropped"] + end["samples_tail"]
    )


async def slow_model(server, seconds):
    """Delay every call of the model."""
    predict = server.gateway.models[0].session.predict

    def slowly(batch):
        time.sleep(seconds)
        return predict(batch)

    object.__setattr__(server.gateway.models[0].session, "predict", slowly)


async def settled(server):
    """Wait until the state of all streams is freed."""
    gateway = server.gateway
    await until(lambda: gateway.idle and not gateway.queue.depth)


async def test_every_window_is_answered_in_order_and_every_sample_accounted_for(serve):
    server = await serve()
    sound = np.concatenate((tone(4), noise(4)))
    async with server.stream() as socket:
        ready = await begin(socket)
        assert {
            key: ready[key] for key in ("type", "model", "version", "labels", "sample_rate")
        } == {
            "type": "ready",
            "model": "toy",
            "version": "2",
            "labels": ["tone", "noise"],
            "sample_rate": RATE,
        }
        assert (ready["window"], ready["hop"]) == (2.0, pytest.approx(HOP / RATE))
        for at in range(0, len(sound), 1_000):
            await socket.send_bytes(pcm(sound[at : at + 1_000]))
        await socket.send_json({"type": "end"})
        *messages, code = await rest_of(socket)
    windows = of_type(messages, "window")
    assert [window["start_sample"] for window in windows] == [n * HOP for n in range(12)]
    assert all(window["end_sample"] - window["start_sample"] == 2 * RATE for window in windows)
    assert windows[0]["labels"] == ["tone"]
    assert windows[-1]["labels"] == ["noise"]
    assert all(
        set(window["age_ms"]) == {"total", "waiting", "features", "queue", "model"}
        for window in windows
    )
    end = messages[-1]
    assert end == {
        "type": "end",
        "reason": "client ended",
        "samples_received": len(sound),
        "samples_processed": 11 * HOP + 2 * RATE,
        "samples_dropped": 0,
        "samples_tail": len(sound) - 11 * HOP - 2 * RATE,
        "windows": 12,
    }
    assert code == 1000
    await settled(server)


async def test_a_stream_and_a_clip_have_equal_scores(serve):
    server = await serve()
    sound = noise(2)
    _, clip, _ = await server.post("/v1/models/toy/classify", data=wav(sound))
    async with server.stream() as socket:
        await begin(socket)
        await socket.send_bytes(pcm(sound))
        window = await socket.receive_json(timeout=60)
    assert window["scores"] == pytest.approx(clip["windows"][0]["scores"], abs=1e-4)


async def test_many_streams_together_give_what_each_gives_alone(serve):
    server = await serve()
    sounds = [tone(4, 200 + 50 * n) if n % 2 else noise(4, seed=n) for n in range(10)]

    async def run(sound):
        async with server.stream() as socket:
            await begin(socket)
            for at in range(0, len(sound), 5_000):
                await socket.send_bytes(pcm(sound[at : at + 5_000]))
                await asyncio.sleep(0)
            await socket.send_json({"type": "end"})
            return [window["scores"] for window in of_type(await rest_of(socket), "window")]

    together = await asyncio.gather(*(run(sound) for sound in sounds))
    alone = [await run(sound) for sound in sounds]
    assert together == alone
    assert all(len(scores) == 4 for scores in alone)


@pytest.mark.parametrize(
    ("fields", "encode"),
    [
        ({"sample_rate": 48_000}, pcm),
        ({"sample_rate": 8_000}, pcm),
        (
            {"sample_rate": 44_100, "encoding": "pcm_f32le"},
            lambda samples: samples.astype("<f4").tobytes(),
        ),
        ({"sample_rate": 16_000, "channels": 2}, lambda samples: pcm(np.repeat(samples, 2))),
        (
            {"sample_rate": 48_000, "numbered": True},
            lambda samples: protocol.number(0, pcm(samples)),
        ),
    ],
    ids=["48 kHz", "8 kHz", "float32", "stereo", "numbered"],
)
async def test_every_announced_format_is_understood(serve, fields, encode):
    server = await serve(max_message=2**20)
    rate = fields["sample_rate"]
    async with server.stream() as socket:
        assert (await begin(socket, **fields))["type"] == "ready"
        await socket.send_bytes(encode(tone(2.0, rate=rate)))
        await socket.send_json({"type": "end"})
        *messages, code = await rest_of(socket)
    (window,) = of_type(messages, "window")
    assert (window["start_sample"], window["end_sample"]) == (0, 2 * rate)
    assert window["labels"] == ["tone"]
    assert messages[-1]["samples_processed"] == 2 * rate
    assert code == 1000


async def test_a_gap_is_reported_and_the_account_still_adds_up(serve):
    server = await serve()
    data = pcm(noise(3))
    async with server.stream() as socket:
        await begin(socket, numbered=True)
        await socket.send_bytes(protocol.number(0, data))
        await socket.send_bytes(protocol.number(100_000, data))
        await socket.send_json({"type": "end"})
        *messages, _ = await rest_of(socket)
    assert of_type(messages, "dropped") == [
        {"type": "dropped", "from_sample": 66_150, "to_sample": 100_000, "reason": "gap"}
    ]
    end = messages[-1]
    assert end["samples_received"] == 2 * 66_150
    assert adds_up(end)


async def test_overload_drops_the_oldest_and_reports_it(serve):
    server = await serve(max_waiting=2)
    await slow_model(server, 0.05)
    async with server.stream() as socket:
        await begin(socket, hop=0.1)
        for _ in range(8):
            await socket.send_bytes(pcm(noise(1)))
        await socket.send_json({"type": "end"})
        *messages, code = await rest_of(socket)
    windows, drops, end = of_type(messages, "window"), of_type(messages, "dropped"), messages[-1]
    assert {drop["reason"] for drop in drops} == {"overload"}
    assert windows
    starts = [each.get("start_sample", each.get("from_sample")) for each in messages[:-1]]
    assert starts == [n * 2_048 for n in range(len(starts))]
    assert end["windows"] == len(windows)
    assert adds_up(end)
    assert code == 1000


async def test_complete_slows_the_client_down_and_drops_nothing(serve):
    server = await serve(max_waiting=2, max_jobs=1)
    await slow_model(server, 5 * MS)
    async with server.stream() as socket, server.stream() as other:
        for each in (socket, other):
            await begin(each, hop=0.1, on_overload="complete")
        for each in (socket, other):
            for _ in range(6):
                await each.send_bytes(pcm(noise(1)))
            await each.send_json({"type": "end"})
        results = await asyncio.gather(rest_of(socket), rest_of(other))
    for *messages, code in results:
        assert not of_type(messages, "dropped")
        assert [window["start_sample"] for window in of_type(messages, "window")] == [
            n * 2_048 for n in range(44)
        ]
        assert code == 1000


async def test_a_window_past_its_deadline_is_dropped_as_late(serve):
    server = await serve(window_deadline=20 * MS)
    await slow_model(server, 0.1)
    async with server.stream() as socket:
        await begin(socket)
        await socket.send_bytes(pcm(noise(2)))
        await socket.send_json({"type": "end"})
        *messages, _ = await rest_of(socket)
    assert {drop["reason"] for drop in of_type(messages, "dropped")} == {"late"}
    assert len(of_type(messages, "dropped")) == 1
    assert adds_up(messages[-1])


async def test_wrong_sound_is_warned_about(serve):
    server = await serve()
    async with server.stream() as socket:
        await begin(socket)
        await socket.send_bytes(bytes(5 * RATE))
        await socket.send_json({"type": "end"})
        *messages, _ = await rest_of(socket)
    assert [warning["kind"] for warning in of_type(messages, "warning")] == ["silence"]


START = {"type": "start", "sample_rate": RATE}


@pytest.mark.parametrize(
    ("sent", "code", "named"),
    [
        ([b"\0\0"], 1008, "start"),
        (["{"], 1007, "JSON"),
        (['{"type":"start"}'], 1007, "sample_rate"),
        ([{**START, "rate": 1}], 1007, "rate"),
        ([{**START, "sample_rate": 1}], 1007, "sample_rate"),
        ([{**START, "hop": 100}], 1007, "hop"),
        ([{"type": "end"}], 1008, "start"),
        ([START, START], 1008, "start"),
        ([START, b"123"], 1007, "3 bytes"),
        ([START, "nonsense"], 1007, "JSON"),
        ([{**START, "numbered": True}, b"1234"], 1007, "8 bytes"),
        ([{**START, "encoding": "pcm_f32le"}, np.float32([np.nan]).tobytes()], 1007, "NaN"),
        ([START, "x" * 5_000], 1009, "5000"),
    ],
    ids=repr,
)
async def test_an_invalid_message_gets_an_error_and_its_close_code(serve, sent, code, named):
    server = await serve()
    async with server.stream() as socket:
        for message in sent:
            if isinstance(message, bytes):
                await socket.send_bytes(message)
            else:
                await socket.send_str(message if isinstance(message, str) else json.dumps(message))
        *messages, closed = await rest_of(socket)
    error = messages[-1]
    assert set(error) == {"type", "code", "title", "detail"}
    assert error["type"] == "error"
    assert named in error["detail"]
    assert closed == code
    await settled(server)


async def test_windows_accepted_before_a_mistake_are_still_answered(serve):
    server = await serve()
    async with server.stream() as socket:
        await begin(socket)
        await socket.send_bytes(pcm(noise(4)))
        await socket.send_bytes(b"x")
        *messages, code = await rest_of(socket)
    assert [message["type"] for message in messages] == ["window"] * 4 + ["error"]
    assert code == 1007


@pytest.mark.parametrize("size", [1_200_000, 10_000_000])
@pytest.mark.parametrize("kind", ["text", "binary"])
async def test_a_message_past_the_bound_is_closed_with_1009(serve, size, kind):
    server = await serve()
    async with server.stream() as socket:
        await begin(socket)
        try:
            await (
                socket.send_str("x" * size) if kind == "text" else socket.send_bytes(bytes(size))
            )
        except ConnectionError:
            return  # refused while it was being sent
        *_, code = await rest_of(socket)
    assert code in (1009, 1006)
    await settled(server)


@pytest.mark.parametrize(("more", "good"), [(0, True), (2, False)])
async def test_the_bound_of_a_message_holds_at_both_sides_and_is_named(serve, more, good):
    server = await serve(max_message=2**16)
    async with server.stream() as socket:
        await begin(socket)
        await socket.send_bytes(bytes(2**16 + more))
        if good:
            await socket.send_json({"type": "end"})
        *messages, code = await rest_of(socket)
    if good:
        assert (messages[-1]["type"], messages[-1]["samples_received"], code) == (
            "end",
            2**15,
            1000,
        )
    else:
        assert (messages[-1]["type"], messages[-1]["code"], code) == ("error", "too-large", 1009)
        assert "65538 bytes; at most 65536" in messages[-1]["detail"]
    await settled(server)


async def test_a_client_that_never_starts_is_rejected(serve):
    server = await serve(start_timeout=50 * MS)
    async with server.stream() as socket:
        *messages, code = await rest_of(socket)
    assert (messages[0]["code"], code) == ("not-allowed", 1008)


async def test_an_idle_client_gets_its_account_and_is_closed(serve):
    server = await serve(idle_timeout=0.1)
    async with server.stream() as socket:
        await begin(socket)
        await socket.send_bytes(pcm(noise(3)))
        *messages, code = await rest_of(socket)
    assert messages[-1]["reason"] == "idle"
    assert messages[-1]["windows"] == 2
    assert adds_up(messages[-1])
    assert code == 1008


async def test_a_quiet_but_living_client_is_pinged(serve):
    server = await serve(heartbeat=0.1)
    async with server.stream(autoping=False) as socket:
        await begin(socket)
        assert (await socket.receive(timeout=60)).type is WSMsgType.PING


@pytest.mark.parametrize("how", ["close", "vanish"])
async def test_a_disconnect_mid_window_frees_everything(serve, how):
    server = await serve()
    await slow_model(server, 0.2)
    for _ in range(3):
        async with aiohttp.ClientSession() as http:
            socket = await http.ws_connect(f"{server.url}/v1/models/toy/stream")
            await begin(socket)
            await socket.send_bytes(pcm(noise(5)))
            await asyncio.sleep(20 * MS)
            if how == "close":
                await socket.close()
            else:
                socket._response.connection.transport.abort()
    await settled(server)


async def test_a_client_that_reads_nothing_is_closed_and_its_buffer_is_bounded(serve):
    server = await serve(send_timeout=0.3)
    port = int(server.url.rsplit(":", 1)[1])
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1_024)
    writer.write(
        b"GET /v1/models/toy/stream HTTP/1.1\r\nHost: localhost\r\n"
        b"Upgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
    await reader.readuntil(b"\r\n\r\n")
    writer.transport.pause_reading()
    writer.write(frame(1, json.dumps({**START, "hop": 0.1}).encode()))
    audio = frame(2, pcm(noise(2)))
    async with asyncio.timeout(60):
        while server.gateway.streams or not writer.transport.is_closing():
            writer.write(audio)
            try:
                await asyncio.wait_for(writer.drain(), 1)
            except (ConnectionError, TimeoutError):
                break
    await settled(server)
    writer.transport.abort()


def frame(opcode, payload):
    """A masked WebSocket frame, with a mask of zeros."""
    size = len(payload)
    length = bytes([128 | size]) if size < 126 else bytes([128 | 127]) + size.to_bytes(8, "big")
    if 126 <= size < 65_536:
        length = bytes([128 | 126]) + size.to_bytes(2, "big")
    return bytes([128 | opcode]) + length + bytes(4) + payload


async def test_streams_past_the_bound_are_rejected_as_busy(serve):
    for settings in ({"max_streams": 1}, {"max_streams_per_client": 1}):
        server = await serve(**settings)
        async with server.stream() as first:
            await begin(first)
            async with server.stream() as second:
                (error, code) = await rest_of(second)
                assert (error["code"], code) == ("busy", 1013)
        await settled(server)
        async with server.stream() as third:
            assert (await begin(third))["type"] == "ready"


async def test_shutdown_answers_accepted_windows_and_closes_with_summary(serve):
    server = await serve()
    async with server.stream() as started, server.stream() as silent:
        await begin(started)
        await started.send_bytes(pcm(noise(5)))
        await started.receive_json(timeout=60)
        leaving = asyncio.create_task(server.gateway.shut_down())
        *messages, code = await rest_of(started)
        assert messages[-1]["reason"] == "server leaves"
        assert messages[-1]["windows"] == 6
        assert adds_up(messages[-1])
        assert code == 1001
        *messages, code = await rest_of(silent)
        assert (messages[0]["code"], code) == ("shutting-down", 1001)
        await leaving
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        await server.stream()
    assert caught.value.status == 503


async def test_a_fault_of_the_model_ends_the_stream_with_an_error(serve):
    server = await serve()
    object.__setattr__(server.gateway.models[0].session, "predict", lambda batch: 1 / 0)
    async with server.stream() as socket:
        await begin(socket)
        await socket.send_bytes(pcm(noise(3)))
        *messages, code = await rest_of(socket)
    assert (messages[-1]["code"], code) == ("internal-error", 1011)
    assert "ZeroDivision" not in messages[-1]["detail"]
    await settled(server)


@pytest.mark.parametrize("last", [{"type": "end"}, "nonsense", None], ids=str)
async def test_large_buffers_are_freed_at_once_however_a_stream_ends(serve, last):
    server = await serve()
    gc.collect()
    gc.disable()
    try:
        async with aiohttp.ClientSession() as http:
            socket = await http.ws_connect(f"{server.url}/v1/models/toy/stream")
            await begin(socket)
            await socket.send_bytes(pcm(noise(2.5)))
            await socket.receive_json(timeout=60)
            assert any(type(each) is StreamingExtractor for each in gc.get_objects())
            if last:
                await socket.send_str(json.dumps(last))
                await rest_of(socket)
            else:
                socket._response.connection.transport.abort()
        await settled(server)
        await until(lambda: not any(type(each) is StreamingExtractor for each in gc.get_objects()))
    finally:
        gc.enable()


async def test_large_buffers_are_freed_when_the_connection_is_lost_after_the_summary(
    serve, monkeypatch
):
    # The server cancels the task of a connection that is lost.
    def lose(what, **_):
        if what == "stream ended":
            asyncio.current_task().cancel()

    monkeypatch.setattr(handler, "log", lose)
    server = await serve()
    gc.collect()
    gc.disable()
    try:
        async with server.stream() as socket:
            await begin(socket)
            await socket.send_bytes(pcm(noise(2.5)))
            await socket.send_json({"type": "end"})
            await rest_of(socket)
        await settled(server)
        assert not any(type(each) is StreamingExtractor for each in gc.get_objects())
    finally:
        gc.enable()


async def test_memory_returns_to_where_it_was(serve):
    server = await serve()

    async def round_trip():
        async with server.stream() as socket:
            await begin(socket)
            await socket.send_bytes(pcm(noise(2.5)))
            await socket.send_str("nonsense")
            await rest_of(socket)

    for _ in range(5):
        await round_trip()
    await settled(server)
    gc.collect()
    before = len(gc.get_objects())
    for _ in range(50):
        await round_trip()
    await settled(server)
    gc.collect()
    # Less than four objects a stream: whole streams that stay would be thousands.
    assert len(gc.get_objects()) - before < 200


async def test_several_invalid_messages_end_their_stream_once_and_no_other(serve):
    server = await serve()
    async with server.stream() as sound:
        await begin(sound)
        for bad in ((2**63).to_bytes(8, "little"), b"1234", b"12345678x"):
            async with server.stream() as hostile:
                await begin(hostile, numbered=True)
                for _ in range(5):
                    await hostile.send_bytes(bad)
                *_, error, code = await rest_of(hostile)
                assert (error["type"], code) == ("error", 1007)
        await sound.send_bytes(pcm(noise(3)))
        await sound.send_json({"type": "end"})
        *_, end, code = await rest_of(sound)
        assert (end["windows"], code) == (2, 1000)
