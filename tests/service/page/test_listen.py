"""The page listens, in Chromium: lanes, memory that stays flat, nothing drawn in vain."""

import pytest
import soundfile

from tests.helpers.server_process import ROOT, server_process
from tests.service.helpers.page import APP, FAKE, MICROPHONE, READY, page


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    """Flags of a microphone that hears the example: a flute, and a cello from the fifth second."""
    path = tmp_path_factory.mktemp("microphone") / "quartet.wav"
    samples, rate = soundfile.read(ROOT / "examples" / "quartet.ogg", dtype="float32")
    soundfile.write(path, samples[: 9 * rate], rate, subtype="PCM_16")
    return (*FAKE, f"--use-file-for-fake-audio-capture={path}")


@pytest.fixture(scope="module")
def address():
    """A server of the shipped models."""
    with server_process() as address:
        yield address


LANES = """[...document.querySelectorAll(".names li[data-on]")].map((item) => item.innerText)"""
HOURS = """(async (from, to) => {
  const { app } = await import(document.querySelector('script[src$="app.js"]').src);
  const session = app.listening, { sampleRate } = session.source;
  session.source.onstate = () => {};
  const sound = Float32Array.from({ length: 0.1 * sampleRate }, (_, n) => Math.sin(n / 9));
  const { labels } = session.model;
  // Of each minute a tenth of a second is sound, the rest a gap; windows come all the time.
  for (let minute = from; minute < to; minute++) {
    session.source.onsamples(sound, 59.9 * sampleRate);
    for (let n = 0; n < 30; n++) {
      const start = 60 * minute + 2 * n + 1e4;
      const loud = n % 7 ? 0 : 0.99;
      const scores = Object.fromEntries(labels.map(({ name }, at) => [name, at % 2 ? loud : 0]));
      const age = { total: 1, features: 0, queue: 0, model: 0 };
      session.stream.dispatchEvent(new CustomEvent("window", { detail: {
        type: "window", start, end: start + 2, scores, labels: [], version: "2", age_ms: age } }));
      session.stream.dispatchEvent(new CustomEvent("dropped", { detail: { reason: "late",
        from_sample: start * sampleRate, to_sample: (start + 2) * sampleRate, count: 1 } }));
    }
    if (minute % 20 === 0) await new Promise(requestAnimationFrame);
  }
  return [session.events.list.length, session.spans.length, app.checks.length];
})"""


async def memory(tab):
    """Bytes of the heap and of buffers, after a collection, and the number of elements."""
    await tab.send("HeapProfiler.collectGarbage")
    usage = await tab.send("Runtime.getHeapUsage")
    nodes = await tab.run("document.querySelectorAll('*').length")
    return usage["usedSize"] + usage.get("backingStorageSize", 0), nodes


async def test_lanes_light_up_with_what_is_heard_and_memory_stays_flat(address, recording):
    async with page(address + "/", *recording) as tab:
        await tab.until(READY)
        await tab.run(MICROPHONE)
        await tab.until(f"{LANES}.includes('flute')")
        await tab.until(f"{LANES}.includes('cello')")
        await tab.until("/cello[^]*flute/.test(document.querySelector('.log ol').innerText)")
        assert " from 0:0" in await tab.run("document.querySelector('#live').textContent")
        # Something is drawn: the picture has more than one colour.
        assert (
            await tab.run("""(() => {
          const canvas = document.querySelector('.spectrum canvas');
          const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
          return new Set(new Uint32Array(data.buffer)).size;
        })()""")
            > 50
        )
        await tab.run(f"{HOURS}(0, 60)")
        before, nodes = await memory(tab)
        counts = await tab.run(f"{HOURS}(60, 300)")
        after, nodes_after = await memory(tab)
        assert counts[:2] == [500, 200]
        assert nodes_after < nodes + 20
        assert after < 1.05 * before


async def test_the_example_needs_no_permission_and_what_stays_under_is_told(address):
    async with page(address + "/app/listen?source=example") as tab:
        await tab.until(f"{LANES}.includes('flute')")
        await tab.run("document.querySelector('.plot').focus()")
        for key in ("ArrowDown", "ArrowDown", "ArrowUp", "ArrowLeft"):
            await tab.press(key)
        told = await tab.until(
            "document.querySelector('.readout').innerText.includes('threshold') && "
            "document.querySelector('.readout').innerText"
        )
        assert "harpsichord 0." in told
        assert "under its threshold 0.71" in told
        await tab.press(" ")
        await tab.until("document.querySelector('.tools button').innerText === 'Play'")


async def test_nothing_is_drawn_while_hidden_and_listening_goes_on(serve):
    server = await serve()
    async with page(server.url + "/", *FAKE) as tab:
        await tab.run(APP)
        await tab.until(READY)
        await tab.run(MICROPHONE)
        await tab.until("app.listening?.stream?.counts.windows > 0")
        await tab.run("""
          const { picture } = app.current, draw = picture.draw.bind(picture);
          window.draws = 0;
          picture.draw = (...given) => { draws += 1; draw(...given); };
        """)
        await tab.until("draws > 2")
        hide = "Object.defineProperty(document, 'hidden', {{ get: () => {}, configurable: true }})"
        changed = "document.dispatchEvent(new Event('visibilitychange'))"
        await tab.run(f"{hide.format('true')}; {changed}")
        await tab.run("new Promise(requestAnimationFrame)")
        draws, windows = await tab.run("[draws, app.listening.stream.counts.windows]")
        await tab.until(f"app.listening.stream.counts.windows >= {windows + 3}")
        assert await tab.run("draws") == draws
        await tab.run(f"{hide.format('false')}; {changed}")
        await tab.until(f"draws > {draws}")


async def test_another_version_of_the_page_is_loaded_once_and_quietly(serve):
    server = await serve()
    other = """(() => {
      const { fetch } = window;
      window.fetch = (url, options) => options?.method === "HEAD"
        ? Promise.resolve(new Response(null, { headers: { ETag: '"0123456789abcdef"' } }))
        : fetch(url, options);
      window.old = true;
      app.away = true;
      app.check();
    })()"""
    async with page(server.url + "/app/models", *FAKE) as tab:
        await tab.run(APP)
        await tab.until(READY)
        await tab.run(other)
        await tab.until("window.old === undefined && document.querySelector('.model') !== null")
        await tab.run(APP)
        await tab.run(other)
        # Where the server still sends the same page, it is not loaded again and again.
        await tab.until("app.away === false")
        assert await tab.run("window.old") is True
