"""timbre.js in Chromium: gaps, refusals, a server that is killed, and what it keeps for replay."""

import json
import random

import pytest

from service.client.replay import AnsweredWindows
from tests.helpers.browser import opened
from tests.helpers.server_process import free_port, killable_server
from tests.service.conftest import RATE


async def load(tab):
    """Wait for the document, and make the module of the page known as `timbre`."""
    await tab.until("document.querySelector('script[src$=\"app.js\"]') !== null")
    await tab.run(
        "(async () => { const { src } = document.querySelector('script[src$=\"app.js\"]');"
        " window.timbre = await import(src.replace('app.js', 'timbre.js')); })()"
    )


async def test_a_gap_in_the_sound_is_told_and_windows_after_it_come(serve):
    server = await serve()
    async with opened(server.url) as tab:
        await load(tab)
        await tab.run("""
          window.heard = { windows: [], dropped: [] };
          window.stream = new timbre.Stream({ model: "toy", sampleRate: 22050, hop: 1 });
          stream.addEventListener("window", ({ detail }) => heard.windows.push(detail.start));
          stream.addEventListener("dropped", ({ detail }) => heard.dropped.push(detail));
        """)
        await tab.until("stream.state === 'open'")
        await tab.run("""
          stream.send(new Float32Array(2.5 * 22050).fill(0.1));
          stream.send(new Float32Array(3.5 * 22050).fill(0.1), 86400 * 22050);
        """)
        await tab.until("heard.windows.length >= 2 && heard.dropped.length >= 1")
        (gap,) = await tab.run("heard.dropped")
        assert (gap["reason"], gap["from_sample"]) == ("gap", 55_125)
        assert gap["to_sample"] == 55_125 + 86_400 * RATE
        assert gap["count"] > 86_000
        before, after = await tab.run("heard.windows.slice(0, 2)")
        assert before == 0
        assert after >= 86_402


@pytest.mark.slow  # half a minute of a browser that draws
async def test_a_refused_stream_says_why_and_does_not_try_again(serve):
    server = await serve()
    async with opened(server.url) as tab:
        await load(tab)
        await tab.run("""
          window.told = [];
          window.stream = new timbre.Stream({ model: "piano", sampleRate: 22050 });
          stream.addEventListener("error", ({ detail }) => told.push(detail.code));
        """)
        await tab.until("told.length > 0")
        assert await tab.run("[told, stream.state]") == [["not-found"], "closed"]


@pytest.mark.slow  # half a minute of a browser that draws
async def test_what_waits_for_a_server_is_bounded_and_what_is_too_old_counts_as_dropped(
    artefacts,
):
    port = free_port()
    with killable_server(artefacts, port) as server:
        async with opened(f"http://127.0.0.1:{port}/") as tab:
            await load(tab)
            await tab.run("""
              window.windows = [];
              window.stream = new timbre.Stream({ model: "toy", sampleRate: 8000, hop: 1 });
              stream.addEventListener("window", ({ detail }) => windows.push(detail.start_sample));
              stream.send(new Float32Array(25000).fill(0.1));
            """)
            await tab.until("windows.length === 2")
            server.kill()
            await tab.until("stream.state === 'waiting'")
            await tab.run(
                "for (let n = 0; n < 60; n++) stream.send(new Float32Array(8000).fill(0.1))"
            )
            # The last 30 s are kept.
            kept, all_of_it = await tab.run("[stream.clip(0, 1e9).length, stream.counts.samples]")
            assert (kept, all_of_it) == (30 * 8000, 25_000 + 60 * 8000)
            with killable_server(artefacts, port):
                await tab.run("stream.retry()")
                await tab.until("stream.counts.windows + stream.counts.dropped >= 62")
                counts = await tab.run("stream.counts")
                assert counts["windows"] + counts["dropped"] == 62
                assert 30 <= counts["dropped"] <= 34


SEQUENCES = """((sequences) => sequences.map(({ options, steps }) => {
  const windows = new timbre.AnsweredWindows(options);
  return steps.map(([name, ...values]) => {
    const made = windows[name](...values);
    return [made, windows.needed(), windows.ahead.size];
  });
}))"""


async def test_windows_are_kept_account_of_as_the_python_client_does(serve):
    chance = random.Random(1)
    sequences, expected = [], []
    for _ in range(40):
        rate, model_rate = chance.choice([(48_000, 22_050), (22_050, 22_050), (44_100, 22_050)])
        hop, window = (n * rate / model_rate for n in (chance.choice([11_264, 22_016]), 44_100))
        python = AnsweredWindows(hop=hop, window=window, sample_rate=rate, model_rate=model_rate)
        steps, results = [], []
        for _ in range(40):
            start = round(chance.randint(0, 30) * hop)
            match chance.choice(["answer", "drop", "giveUp"]):
                case "answer":
                    steps.append(("answer", start))
                    made = python.answer(start)
                case "drop":
                    end = start + chance.randint(1, 5) * rate
                    steps.append(("drop", start, end))
                    made = python.drop(start, end)
                case "giveUp":
                    steps.append(("giveUp", start // 4))
                    _, made = python.resume(start // 4)
            results.append([made, python.needed(), len(python._ahead)])
        options = {"hop": hop, "window": window, "sampleRate": rate, "modelRate": model_rate}
        sequences.append({"options": options, "steps": steps})
        expected.append(results)
    server = await serve()
    async with opened(server.url) as tab:
        await load(tab)
        assert await tab.run(f"({SEQUENCES})({json.dumps(sequences)})") == expected


async def test_the_ring_gives_back_what_it_was_given_by_index_and_no_more_than_it_holds(serve):
    server = await serve()
    async with opened(server.url) as tab:
        await load(tab)
        assert await tab.run("""(() => {
          const ring = new timbre.Ring(10);
          const count = (from, to) => Float32Array.from({ length: to - from }, (_, n) => from + n);
          ring.append(count(0, 7));
          ring.skip(3);
          ring.append(count(10, 14));
          const read = (at, limit) => {
            const { first, samples } = ring.read(at, limit);
            return [first, ...samples];
          };
          const all = [read(0, 99), read(5, 1), read(7, 99), read(12, 99), read(14, 9)];
          ring.append(count(14, 40));
          return [...all, read(0, 99), [ring.start, ring.end, ring.gaps.length]];
        })()""") == [
            [4, 4, 5, 6],
            [5, 5],
            [10, 10, 11, 12, 13],
            [12, 12, 13],
            [14],
            [30, *range(30, 40)],
            [30, 40, 0],
        ]
