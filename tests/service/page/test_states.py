"""What the page says, in Chromium, when there is no sound, no server, no room or no key."""

import json
from dataclasses import replace
from urllib.parse import urlsplit

import pytest

from service.auth.key_store import FileKeyStore
from service.auth.keys import now
from tests.helpers.server_process import free_port, killable_server, server_process
from tests.service.conftest import RATE, begin
from tests.service.helpers.keys import new_key
from tests.service.helpers.page import APP, BANNER, FAKE, MICROPHONE, OPEN, READY, page


@pytest.fixture(scope="module")
def address():
    """A server of the shipped models."""
    with server_process() as address:
        yield address


REFUSALS = {
    "refused": (FAKE[:1], "denied", "refused the microphone. Allow it in the settings"),
    "no device": ((), "granted", "There is no microphone. Plug one in"),
}


@pytest.mark.parametrize("case", REFUSALS)
async def test_a_microphone_that_is_not_there_is_told_in_plain_words(address, case):
    flags, setting, words = REFUSALS[case]
    async with page(address + "/", *flags) as tab:
        await tab.send(
            "Browser.setPermission",
            permission={"name": "microphone"},
            setting=setting,
            browserContextId=tab.context,
        )
        await tab.until(READY)
        await tab.run(MICROPHONE)
        await tab.until(f"({BANNER}).includes({json.dumps(words)})")


async def test_a_page_that_is_not_secure_says_what_to_do(serve):
    server = await serve(allowed_hosts=("timbre.test",))
    port = urlsplit(server.url).port
    flags = (*FAKE, "--host-resolver-rules=MAP timbre.test 127.0.0.1")
    async with page(f"http://timbre.test:{port}/", *flags) as tab:
        await tab.until(READY)
        await tab.run(MICROPHONE)
        await tab.until(f"({BANNER}).includes('https://')")


@pytest.mark.slow  # half a minute of a browser that draws
async def test_a_muted_and_an_unplugged_microphone_are_told(serve):
    server = await serve()
    async with page(server.url + "/", *FAKE) as tab:
        await tab.run(APP)
        await tab.until(READY)
        await tab.run(MICROPHONE)
        await tab.until(OPEN)
        await tab.run("app.listening.source.track.dispatchEvent(new Event('mute'))")
        await tab.until(f"({BANNER}).includes('muted')")
        await tab.run("app.listening.source.track.dispatchEvent(new Event('unmute'))")
        await tab.until(f"({BANNER}) === ''")
        await tab.run("app.listening.source.track.dispatchEvent(new Event('ended'))")
        await tab.until(f"({BANNER}).includes('unplugged')")
        await tab.run("document.querySelector('.banner button').click()")
        await tab.until(OPEN)


@pytest.mark.slow  # half a minute of a browser that draws
async def test_no_window_is_lost_when_the_server_is_killed_and_a_countdown_is_told(artefacts):
    port = free_port()
    with killable_server(artefacts, port) as server:
        async with page(f"http://127.0.0.1:{port}/", *FAKE) as tab:
            await tab.run(APP)
            await tab.until(READY)
            await tab.run(MICROPHONE)
            await tab.until("app.listening?.stream != null")
            await tab.run("""
              window.starts = [];
              app.listening.stream.addEventListener("window",
                ({ detail }) => starts.push(detail.start_sample));
            """)
            await tab.until("starts.length > 0")
            server.kill()
            await tab.until(f"/The server is gone.*[.] Next try (in \\d+ s|now)/.test({BANNER})")
            # What is old turns grey by itself, though nothing comes any more.
            grey = "getComputedStyle(document.querySelector('.hearing').parentNode).filter"
            await tab.until(f"{grey}.includes('grayscale(1)')")
            # However long a server takes to start here: no more sound meanwhile than is kept.
            await tab.run("app.listening.source.pause()")
            with killable_server(artefacts, port):
                await tab.run("document.querySelector('.banner button').click()")
                await tab.run("app.listening.source.resume()")
                await tab.until(f"({BANNER}) === ''")
                await tab.until(f"{grey} === 'none'")
                counts = await tab.run("app.listening.stream.counts")
                assert (counts["dropped"], counts["reconnects"]) == (0, 1)
                # Every window of the time without a server has been answered, once.
                rate = await tab.run("app.listening.source.sampleRate")
                hop = 11_264 * rate / RATE
                starts = await tab.run("starts")
                assert starts == [round(n * hop) for n in range(len(starts))]


@pytest.mark.slow  # half a minute of a browser that draws
async def test_a_busy_server_is_told(serve):
    server = await serve(max_streams=1)
    async with server.stream() as other:
        await begin(other)
        async with page(server.url + "/", *FAKE) as tab:
            await tab.until(READY)
            await tab.run(MICROPHONE)
            await tab.until(f"({BANNER}).includes('The server is busy: ')")
            await other.close()
            await tab.until(f"({BANNER}) === ''")


async def test_a_key_is_asked_for_and_a_wrong_one_is_told(serve, tmp_path):
    key, text = new_key(scopes=("classify", "stream"), rate=1_000.0, streams=9)
    store = FileKeyStore(tmp_path / "keys.json")
    await store.put(key)
    server = await serve(keys=str(tmp_path / "keys.json"))
    give = "document.querySelector('dialog input').value = {}"
    use = "document.querySelector('dialog button').click()"
    async with page(server.url + "/", *FAKE) as tab:
        await tab.run(APP)
        await tab.until("document.querySelector('dialog input') !== null")
        await tab.run(give.format(json.dumps(text + "x")))
        await tab.run(use)
        await tab.until("document.querySelector('dialog')?.innerText.includes('wrong')")
        await tab.run(give.format(json.dumps(text)))
        await tab.run(use)
        await tab.until(READY)
        await tab.run(MICROPHONE)
        await tab.until(OPEN)
        assert text not in await tab.run("location.href + JSON.stringify(localStorage)")
        # Revoked meanwhile: the words, and the question.
        await store.put(replace(key, revoked=now()))
        await tab.until(f"({BANNER}).includes('The key is missing, wrong or revoked')")
