"""Whole files through the client, and its errors."""

import pytest

from common.errors import InputError, NotFound, UnsupportedMedia
from service.client import Client
from service.client.transport import Unreachable
from tests.service.conftest import noise, tone, wav


async def test_a_file_and_its_bytes_have_the_same_answer(serve, tmp_path):
    server = await serve()
    path = tmp_path / "tone.wav"
    path.write_bytes(wav(tone(5)))
    client = Client(server.url)
    by_path, by_bytes = (
        await client.classify(path, "toy"),
        await client.classify(path.read_bytes(), "toy"),
    )
    assert by_path["labels"] == by_bytes["labels"] == ["tone"]
    assert by_path["windows"] == by_bytes["windows"]
    assert len(by_path["windows"]) == 3


async def test_options_reach_the_server(serve):
    server = await serve()
    answer = await Client(server.url).classify(wav(noise(4)), "toy", hop=1.0, top_k=1, version="1")
    assert answer["version"] == "1"
    assert [list(each["scores"]) for each in answer["windows"]] == [["noise"]] * 3


async def test_a_model_describes_itself(serve):
    server = await serve()
    described = await Client(server.url).describe("toy")
    assert {label["name"]: label["threshold"] for label in described["labels"]} == {
        "tone": 0.5,
        "noise": 0.5,
    }


@pytest.mark.parametrize(
    ("data", "model", "error", "detail"),
    [
        (b"not a sound at all", "toy", UnsupportedMedia, "WAV"),
        (b"", "toy", InputError, "empty"),
        (wav(tone(1)), "tuba", NotFound, "toy"),
    ],
)
async def test_a_rejection_raises_the_servers_error(serve, data, model, error, detail):
    server = await serve()
    with pytest.raises(error, match=detail):
        await Client(server.url).classify(data, model)


async def test_an_unreachable_server_raises_an_error(unused_tcp_port):
    with pytest.raises(
        Unreachable, match=r"127\.0\.0\.1:\d+ \(connection refused\): is `timbre serve` running"
    ):
        await Client(f"ws://127.0.0.1:{unused_tcp_port}").classify(b"x")


async def test_a_missing_file_is_an_os_error():
    with pytest.raises(FileNotFoundError):
        await Client().classify("no/such/file.wav")


@pytest.mark.parametrize(
    ("given", "used"),
    [("ws://h:1/", "http://h:1"), ("wss://h", "https://h"), ("https://h/base/", "https://h/base")],
)
def test_web_and_websocket_addresses_are_the_same(given, used):
    assert Client(given).url == used


def test_an_invalid_url_is_rejected():
    with pytest.raises(InputError, match="'localhost'"):
        Client("localhost")
