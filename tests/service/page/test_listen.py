"""The page listens, in Chromium: lanes, memory that stays flat, nothing drawn in vain."""

import pytest
import soundfile

from tests.helpers.server_process import ROOT, server_process
from tests.service.conftest import begin, pcm, rest_of, tone, until
from tests.service.helpers.page import APP, BANNER, FAKE, MICROPHONE, READY, page


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


@pytest.mark.slow  # half a minute of a browser that draws
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


@pytest.mark.slow  # half a minute of a browser that draws
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


SOURCES = """[...document.querySelectorAll('.sources .source')].filter((each) =>
  each.offsetParent).map((each) => each.querySelector('button, h3').innerText)"""
PRESS = """(text) => [...document.querySelectorAll('button')].find((each) => each.offsetParent
  && each.innerText === text).click()"""


@pytest.mark.slow  # half a minute of a browser that draws
async def test_several_sources_are_heard_side_by_side_and_one_of_them_is_shown_whole(serve):
    server = await serve()
    async with page(server.url + "/", *FAKE) as tab:
        await tab.run(APP)
        await tab.until(READY)
        await tab.run(MICROPHONE)
        await tab.until("app.listening?.stream?.counts.windows > 0")
        assert await tab.run(SOURCES) == []
        await tab.run(f"({PRESS})('The example')")
        await tab.until("app.sessions.every(({ stream }) => stream?.counts.windows > 1)")
        names = await tab.run(SOURCES)
        assert (len(names), names[1]) == (2, "the example")
        assert await tab.run("app.listening === app.sessions[1]")
        # Each card has its own spectrogram; its lanes are those that scored highest.
        colours = """[...document.querySelectorAll('.source canvas')].map((canvas) => new Set(
          new Uint32Array(canvas.getContext('2d').getImageData(0, 0, canvas.width,
          canvas.height).data.buffer)).size)"""
        await tab.until(f"({colours}).every((count) => count > 4)")
        await tab.run("document.querySelector('.source button').click()")
        assert await tab.run("app.listening === app.sessions[0]")
        pressed = "[...document.querySelectorAll('.source button:not(.remove)')]"
        assert await tab.run(f"{pressed}.map((each) => each.ariaPressed)") == ["true", "false"]
        # What is not shown goes on, and the microphone is not opened twice.
        count = await tab.run("app.sessions[1].stream.counts.windows")
        await tab.run(f"({PRESS})('Microphone')")
        await tab.until(f"app.sessions[1].stream.counts.windows > {count}")
        await tab.until("app.sessions[0].stream?.counts.windows > 0")
        assert await tab.run("app.sessions.length") == 2
        await tab.run("document.querySelectorAll('.source .remove')[1].click()")
        assert await tab.run(SOURCES) == []
        assert await tab.run("app.sessions.length") == 1
        # More than six are not begun.
        await tab.run("""
          const { file } = app.current.session.opening;
          for (let n = 0; n < 7; n++) {
            app.current.open({ kind: "file", file: new Blob([]), name: `file ${n}` });
          }
        """)
        assert await tab.run("app.sessions.length") == 6
        assert "6 sources are listened to" in await tab.run(BANNER)


async def test_events_that_others_publish_are_shown_by_source(serve):
    server = await serve()
    async with page(server.url + "/", *FAKE) as tab:
        await tab.until(READY)
        await tab.run("document.querySelector('.published').open = true")
        await tab.until("document.querySelector('.published p').innerText.includes('No stream')")
        async with server.stream() as socket:
            await begin(socket, publish=True, source="garden")
            await socket.send_bytes(pcm(tone(4)))
            await tab.until(f"{SOURCES}.includes('garden')")
            state = "document.querySelector('.published .source p').innerText"
            await tab.until(f"{state}.startsWith('toy, on now: tone; last event ')")
            await socket.send_json({"type": "end"})
            await rest_of(socket)
        await tab.until(f"{state}.startsWith('toy, nothing on now')")
        # Closed, nothing is asked for.
        await tab.run("document.querySelector('.published').open = false")
        await until(lambda: not server.gateway.feed._followers)
