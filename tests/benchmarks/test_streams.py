"""The load of streams counts right, on a server that answers and on one that cannot."""

import asyncio

import pytest

from benchmarks.streams import main, run
from tests.service.conftest import artefacts, serve  # noqa: F401 - fixtures


async def test_every_window_is_counted_with_its_age(serve):  # noqa: F811
    server = await serve()
    tally = await asyncio.to_thread(run, streams=3, seconds=2.6, url=server.url, model="toy")
    assert (tally.expected, tally.fates["answered"], tally.missing, tally.failed.total()) == (6, 6, 0, 0)
    assert len(tally.ages_ms) == len(tally.told_ms) == 6
    assert min(tally.told_ms) > 0


async def test_drops_are_counted_by_reason(serve):  # noqa: F811
    server = await serve(window_deadline=1e-6)
    tally = await asyncio.to_thread(run, streams=1, seconds=2.0, url=server.url, model="toy", sample_rate=8_000)
    assert (tally.fates["late"], tally.missing) == (1, 0)


def test_a_server_that_is_not_there_fails_every_stream(capsys, unused_tcp_port):
    assert main(["--streams", "2", "--seconds", "0.1", "--url", f"http://127.0.0.1:{unused_tcp_port}"]) == 1
    assert "2 streams failed" in capsys.readouterr().out


@pytest.mark.parametrize("rate", [22_050, 44_100])
async def test_the_age_is_counted_from_the_windows_last_sample(serve, rate):  # noqa: F811
    server = await serve()
    tally = await asyncio.to_thread(run, streams=1, seconds=3.0, url=server.url, model="toy", sample_rate=rate)
    assert all(-1 < age < 1_000 for age in tally.ages_ms)
