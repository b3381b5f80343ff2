"""The load of streams counts right, on a server that answers and on one that cannot."""

import pytest

from benchmarks.serving import streams
from tests.service.conftest import artefacts, serve  # noqa: F401 - fixtures


async def put(url, **load):
    load = streams.Load(model="toy", **load)
    return await streams.run(url, load, streams.sound_of(load))


async def test_every_window_is_counted_with_its_age(serve):  # noqa: F811
    server = await serve()
    tally = await put(server.url, streams=3, seconds=2.6)
    assert (tally.expected, tally.fates["answered"], tally.missing, tally.failed.total()) == (
        6,
        6,
        0,
        0,
    )
    assert len(tally.points) == len(tally.reported_ms) == 6
    assert min(tally.reported_ms) > 0


async def test_drops_are_counted_by_reason(serve):  # noqa: F811
    server = await serve(window_deadline=1e-6)
    tally = await put(server.url, streams=1, seconds=2.1, sample_rate=8_000)
    assert (tally.fates["late"], tally.dropped, tally.missing) == (1, 1, 0)


async def test_a_server_that_is_not_there_fails_every_stream(unused_tcp_port):
    tally = await put(f"http://127.0.0.1:{unused_tcp_port}", streams=2, seconds=0.1)
    assert tally.failed.total() == 2


@pytest.mark.parametrize("rate", [8_000, pytest.param(44_100, marks=pytest.mark.slow)])
async def test_the_age_counts_from_when_the_last_sample_needed_was_due(serve, rate):  # noqa: F811
    server = await serve()
    tally = await put(server.url, streams=1, seconds=4.0, hop=0.1, sample_rate=rate)
    assert len(tally.points) > 10
    ages = sorted(age for _, age in tally.points)
    # A chunk counted too many or too few would show as 100 ms in every age, the best one too.
    assert -1 < ages[0] < 90


async def test_who_hangs_up_loses_no_window_and_fails_no_stream(serve):  # noqa: F811
    server = await serve()
    tally = await put(server.url, streams=4, seconds=2.6, drops=1.0, jitter=0.05)
    assert (tally.disconnected, tally.missing, tally.failed.total()) == (4, 0, 0)


def test_chunks_grow_into_samples_of_the_model_with_some_held_back():
    grown = streams.growth(1.0, 0.1, 16_000, 22_050)
    assert len(grown) == 10
    assert grown == sorted(grown)
    assert 21_000 < grown[-1] < 22_050
    assert streams.growth(1.0, 0.1, 22_050, 22_050)[-1] == 22_050
