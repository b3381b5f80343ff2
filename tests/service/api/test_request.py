"""Query parameters and bodies: what is accepted, and the problem for everything else."""

import asyncio
import re

import aiohttp
import pytest

from service.api.request import MAX_DOCUMENT, read_number, read_whole
from tests.service.conftest import noise, tone, wav
from tests.service.helpers.problems import is_problem

CLASSIFY = "/v1/models/toy/classify"


async def test_a_form_and_a_bare_body_are_answered_alike(serve):
    server = await serve()
    form = aiohttp.FormData()
    form.add_field("file", wav(noise(3)), filename="noise.wav")
    _, first, _ = await server.post(CLASSIFY, data=form)
    _, second, _ = await server.post(CLASSIFY, data=wav(noise(3)))
    assert first["windows"] == second["windows"]


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("topk=1", "topk"),
        ("top_k=x", "top_k"),
        ("top_k=0", "top_k"),
        ("top_k=1_0", "top_k"),
        ("top_k=%D9%A3", "top_k"),
        ("top_k=%201", "top_k"),
        ("hop=0", "hop"),
        ("hop=1_0", "hop"),
        ("hop=%D9%A1", "hop"),
        ("hop=%201", "hop"),
        ("hop=nan", "hop"),
        ("hop=9", "hop"),
        ("hop=1&hop=1", "hop"),
    ],
)
async def test_an_invalid_query_is_rejected_by_name(serve, query, named):
    server = await serve()
    status, answer, headers = await server.post(f"{CLASSIFY}?{query}", data=wav(tone(2)))
    assert status == 422
    assert is_problem(status, answer, headers)
    assert named in answer["detail"]


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"", 400),
        (b"not a sound at all, only words", 415),
        (wav(tone(2))[:1_000], 400),
        (wav(tone(0)), 422),
        (
            b"RIFF\xff\xff\xff\xffWAVEfmt \x10\0\0\0\1\0\1\0\x22\x56\0\0\x44\xac\0\0\2\0\x10\0"
            b"data\xf0\xff\xff\x7f" + bytes(40),
            400,
        ),
    ],
    ids=["empty", "not a sound", "truncated", "zero length", "a header that lies"],
)
async def test_an_invalid_sound_is_rejected(serve, data, status):
    server = await serve()
    answers = [await server.post(CLASSIFY, data=data)]
    form = aiohttp.FormData()
    form.add_field("file", data, filename="clip")
    answers.append(await server.post(CLASSIFY, data=form))
    for found in answers:
        assert found[0] == status, found[1]
        assert is_problem(*found)


async def test_a_form_with_other_fields_is_rejected_by_name(serve):
    server = await serve()
    form = aiohttp.FormData()
    form.add_field("sound", wav(tone(2)), filename="x.wav")
    status, answer, headers = await server.post(CLASSIFY, data=form)
    assert status == 422
    assert is_problem(status, answer, headers)
    assert "sound" in answer["detail"]


@pytest.mark.parametrize("body", [b"--x\r\nnonsense", b"", b"--x--\r\n", b"--x\r\n\r\nno end"])
async def test_an_invalid_form_is_rejected(serve, body):
    server = await serve()
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    status, answer, headers = await server.post(CLASSIFY, data=body, headers=headers)
    assert status in (400, 422)
    assert is_problem(status, answer, headers)


async def test_too_large_bodies_are_rejected_with_and_without_a_length(serve):
    server = await serve(max_body=100_000)

    async def endless():
        for _ in range(1_000):
            yield bytes(10_000)

    for data in (bytes(100_001), endless()):
        status, answer, headers = await server.post(CLASSIFY, data=data)
        assert status == 413
        assert is_problem(status, answer, headers)
        assert "100000" in answer["detail"]
    assert (await server.post(CLASSIFY, data=wav(tone(2))))[0] == 200


async def test_a_too_large_content_length_is_rejected_before_the_body_is_read(serve):
    server = await serve(max_body=1_000)
    reader, writer = await asyncio.open_connection("127.0.0.1", int(server.url.rsplit(":", 1)[1]))
    writer.write(
        f"POST {CLASSIFY} HTTP/1.1\r\nHost: localhost\r\n".encode()
        + b"Content-Length: 10000000000\r\n\r\n"
    )
    assert b" 413 " in await asyncio.wait_for(reader.readline(), 60)
    writer.transport.abort()


async def test_an_endless_body_times_out(serve):
    server = await serve(body_timeout=0.1)

    async def dribble():
        yield bytes(10)
        await asyncio.Event().wait()
        yield bytes(10)

    status, answer, headers = await server.post(CLASSIFY, data=dribble())
    assert status == 400
    assert is_problem(status, answer, headers)


JSON_ROUTES = ("models/toy/load", "models/toy/promote", "trainings")


async def test_a_body_of_json_is_bounded_and_nesting_ends_nothing(serve, tmp_path):
    server = await serve(trainings=str(tmp_path / "teach"))
    for route in JSON_ROUTES:
        path = f"/v1/{route}"
        for size, statuses in ((MAX_DOCUMENT, {404, 422}), (MAX_DOCUMENT + 1, {413})):
            body = b'{"version": "999999"}'.ljust(size)
            status, answer, headers = await server.post(path, data=body)
            assert status in statuses, (route, size, answer)
            assert is_problem(status, answer, headers)
        for nested in (b"[" * 10_000, b'{"version":' * 5_000, b"[" * 10_000 + b"]" * 10_000):
            status, answer, headers = await server.post(path, data=nested)
            assert status == 400, (route, answer)
            assert is_problem(status, answer, headers)
        headers = {"Content-Length": "100000000", "Connection": "close"}
        status, answer, headers = await server.post(path, data=b"{", headers=headers)
        assert status == 413, (route, answer)


@pytest.mark.parametrize("text", ["1", "+1", "1.", ".5", "1e-1", "0.25E0"])
def test_numbers_in_a_query_are_written_as_everywhere(text):
    assert read_number(text) == float(text)


@pytest.mark.parametrize("text", ["+", "nan", "inf", "1_0", " 1", "1 ", "\u0661", "0x1", "1e", "."])
def test_what_only_python_takes_for_a_number_is_none(text):
    for read in (read_number, read_whole):
        with pytest.raises(ValueError, match=re.escape(text)):
            read(text)


def test_whole_numbers_have_at_most_18_digits():
    assert read_whole("9" * 18) == 10**18 - 1
    with pytest.raises(ValueError, match="9"):
        read_whole("9" * 19)
