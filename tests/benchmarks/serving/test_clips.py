"""The load of clips, closed and open loop: counts of good, rejected and failed requests."""

import asyncio

import aiohttp
from aiohttp import web

from benchmarks.serving import clips
from tests.service.conftest import artefacts, serve  # noqa: F401 - fixtures


async def put(url, **load):
    load = clips.Load(model="toy", **load)
    return await clips.run(url, load, clips.bodies_of(load))


async def test_every_clip_is_counted_in_the_closed_loop(serve):  # noqa: F811
    server = await serve()
    tally = await put(server.url, requests=12, clients=4)
    assert (tally.ok, tally.bad.total(), tally.disconnected, len(tally.reported_ms)) == (
        12,
        0,
        0,
        12,
    )
    assert all(told < 1e3 * tally.seconds for told in tally.reported_ms)


async def test_clients_that_find_nothing_left_to_ask_cost_no_time(serve):  # noqa: F811
    server = await serve()
    tally = await put(server.url, requests=1, clients=2, ramp=2.0)
    assert tally.ok == 1
    assert tally.seconds < 1


async def test_a_clip_that_is_rejected_is_bad(serve):  # noqa: F811
    server = await serve(max_body=1_000)
    tally = await put(server.url, requests=3, clients=2)
    assert (tally.ok, tally.bad) == (0, {"HTTP 413": 3})


async def test_a_server_that_is_not_there_is_bad(unused_tcp_port):
    tally = await put(f"http://127.0.0.1:{unused_tcp_port}", requests=2)
    assert tally.ok == 0
    assert tally.bad.total() == 2


async def slow(seconds):
    """A server that answers one request at a time."""
    turn = asyncio.Lock()

    async def answer(_):
        async with turn:
            await asyncio.sleep(seconds)
        return web.json_response({"windows": [{}], "timing_ms": {"total": 1.0}})

    app = web.Application()
    app.router.add_post("/v1/models/toy/classify", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return runner, f"http://127.0.0.1:{runner.addresses[0][1]}"


async def test_the_open_loop_keeps_its_schedule_and_counts_the_wait():
    runner, url = await slow(0.05)
    tally = await put(url, requests=10, rate=100)
    await runner.cleanup()
    # The tenth is due at 0.09 s and waits for nine others: a closed loop would have seen 50 ms.
    assert tally.points[-1][1] > 350
    assert max(at for at, _ in tally.points) < 0.1


async def test_the_closed_loop_waits_for_its_answers():
    runner, url = await slow(0.02)
    tally = await put(url, requests=4, clients=1)
    await runner.cleanup()
    assert all(ms > 15 for _, ms in tally.points)
    assert tally.seconds > 0.08


async def test_who_hangs_up_is_no_bad_answer_and_leaves_the_server_well(serve):  # noqa: F811
    server = await serve()
    tally = await put(server.url, requests=10, clients=2, drops=1.0)
    assert tally.ok + tally.disconnected == 10
    assert tally.disconnected > 0
    assert not tally.bad
    assert (await put(server.url, requests=2)).ok == 2
    async with aiohttp.ClientSession() as http, http.get(f"{server.url}/readyz") as response:
        assert response.status == 200
