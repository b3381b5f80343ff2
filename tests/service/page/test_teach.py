"""Teach in Chromium: takes of a microphone, files, a training to its end, and what it may not."""

import json

import pytest
import soundfile

from service.auth.key_store import FileKeyStore
from service.trainings.folder import COLLECTIONS
from tests.helpers.browser import opened
from tests.service.api.test_promotion import taught  # noqa: F401 - a fixture
from tests.service.conftest import noise, tone
from tests.service.helpers.keys import new_key
from tests.service.helpers.page import FAKE
from tests.service.helpers.teaching import LABELS
from tests.service.helpers.versions import copied
from tests.service.page.test_views import MODULE, choose

BANNER = "document.querySelector('[aria-label=Teach] .banner:not([hidden])')?.innerText ?? ''"
COUNTS = """Object.fromEntries([...document.querySelectorAll('.class')].map((each) =>
  [each.querySelector('h3').innerText, each.querySelectorAll('.clips li').length]))"""
READY = "document.querySelectorAll('.class').length > 0"
SAID = "document.querySelector('[aria-label=Teach] h2 + .readout').innerText"
TOLD = "document.querySelector('.training .readout').innerText"
COLOURS = """((canvas) => canvas && new Set(new Uint32Array(canvas.getContext('2d').getImageData(
  0, 0, canvas.width, canvas.height).data.buffer)).size)(document.querySelector('.clip canvas'))"""


@pytest.fixture(scope="module")
def microphone(tmp_path_factory):
    """Flags of a microphone that hears a tone."""
    path = tmp_path_factory.mktemp("microphone") / "tone.wav"
    soundfile.write(path, tone(3, 2_400) + noise(3, level=0.01), 22_050, subtype="PCM_16")
    return (*FAKE, f"--use-file-for-fake-audio-capture={path}")


def press(selector):
    return f"document.querySelector({json.dumps(selector)}).click()"


async def add_class(tab, name):
    await tab.run(f"document.querySelector('.classes + .bar input').value = {json.dumps(name)}")
    await tab.run(press(".classes + .bar button"))


def clips(folder):
    """Files stored, as SOURCE/LABEL."""
    root = folder / COLLECTIONS
    files = [path for path in root.rglob("*") if path.is_file() and path.suffix != ".json"]
    return sorted("/".join(path.relative_to(root).parts[:-1]) for path in files)


@pytest.mark.slow  # records in real time, three times
async def test_a_take_is_recorded_shown_as_a_spectrogram_and_deleted(serve, tmp_path, microphone):
    folder = tmp_path / "teach"
    server = await serve(trainings=str(folder))
    async with opened(server.url + "/app/teach", *microphone) as tab:
        await tab.until(READY)
        await tab.run("document.querySelector('[aria-label=Teach] select').value = '2'")
        await tab.run("document.querySelectorAll('[aria-label=Teach] input')[1].value = 'Cellar 1'")
        # Text of a person is never markup.
        await add_class(tab, "<b>high")
        assert await tab.run(COUNTS) == {"Background": 0, "<b>high": 0}
        await tab.run(press('[aria-label="Record <b>high"]'))
        await tab.run(press('[aria-label="Record background"]'))
        await tab.until(f"{SAID}.includes('One take at a time')")
        await tab.until(f"({COUNTS})['<b>high'] === 1")
        await tab.until(f"{COLOURS} > 20")
        assert clips(folder) == ["mine/Cellar-1-1/<b>high"]
        await tab.run(press(".clips .remove"))
        await tab.until(f"({COUNTS})['<b>high'] === 0")
        assert clips(folder) == []
        text = await tab.run("[...document.querySelectorAll('.class')].at(-1).innerText")
        assert "none yet" in text
        assert await tab.run(SAID) == ""
        # Left in the middle of a take, the view is as before.
        await tab.run(press('[aria-label="Record background"]'))
        await tab.until("document.querySelector('.class progress').value > 0")
        await tab.run(press("nav a[href$=models]"))
        await tab.run(press("nav a[href$=teach]"))
        await tab.until("document.querySelector('.class button.main') !== null")
        await tab.run(press('[aria-label="Record background"]'))
        await tab.until(f"({COUNTS}).Background === 1")


async def test_a_view_left_during_a_take_lets_go_of_the_microphone_and_records_again(
    serve, tmp_path
):
    server = await serve(trainings=str(tmp_path / "teach"))
    async with opened(server.url + "/app/teach", *FAKE) as tab:
        await tab.until(READY)
        await tab.run("""
          const { mediaDevices } = navigator, open = mediaDevices.getUserMedia.bind(mediaDevices);
          window.asked = [];
          mediaDevices.getUserMedia = async (wanted) => {
            const media = await open(wanted), track = media.getTracks()[0];
            await new Promise((go) => asked.push({ go, track }));
            return media;
          };
        """)
        await tab.run(press('[aria-label="Record background"]'))
        await tab.until("asked.length === 1")
        # The second view is asked for while the first one is still loaded.
        await tab.run(f"{press('nav a[href$=models]')}; {press('nav a[href$=teach]')}")
        await tab.until(READY)
        await tab.run(f"(async () => {{ {MODULE.format('models')}; asked[0].go(); }})()")
        await tab.until("asked[0].track.readyState === 'ended'")
        assert await tab.run("document.querySelector('main > section').ariaLabel") == "Teach"
        await tab.run(press('[aria-label="Record background"]'))
        await tab.until("asked.length === 2")
        assert await tab.run(SAID) == ""


@pytest.mark.slow  # half a minute of a browser that draws
async def test_files_are_stored_and_what_is_none_is_told(serve, tmp_path):
    folder = tmp_path / "teach"
    server = await serve(trainings=str(folder))
    paths = [tmp_path / name for name in ("a.wav", "b.wav", "c.wav")]
    for seed, path in enumerate(paths[:2]):
        path.write_bytes(LABELS["low"](seed))
    paths[2].write_text("no sound")
    async with opened(server.url + "/app/teach", *FAKE) as tab:
        await tab.until(READY)
        await add_class(tab, "low")
        await choose(tab, '[aria-label="Files of low"]', *paths)
        await tab.until(f"{SAID}.includes('2 files stored, 1 not: ')")
        assert [path.split("-")[-1] for path in clips(folder)] == ["1/low", "2/low"]
        # What is stored is there again in another tab.
    async with opened(server.url + "/app/teach", *FAKE) as tab:
        await tab.until(f"({COUNTS}).low === 2")


async def test_without_the_folder_or_the_scope_nothing_is_offered(serve, tmp_path):
    server = await serve()
    async with opened(server.url + "/app/teach", *FAKE) as tab:
        await tab.until(f"({BANNER}).includes('start the server with --trainings DIR')")
        assert await tab.run("document.querySelector('.class') === null")
    store = FileKeyStore(tmp_path / "keys.json")
    texts = {}
    for scope in ("classify", "admin"):
        key, texts[scope] = new_key(scope, scopes=(scope,), rate=1_000.0)
        await store.put(key)
    server = await serve(keys=str(tmp_path / "keys.json"), trainings=str(tmp_path / "teach"))
    async with opened(server.url + "/app/teach", *FAKE) as tab:
        for scope in ("classify", "admin"):
            await tab.until("document.querySelector('dialog input') !== null")
            await tab.run(f"document.querySelector('dialog input').value = '{texts[scope]}'")
            await tab.run(press("dialog button"))
            if scope == "classify":
                await tab.until(f"({BANNER}).includes('a key with the scope admin is needed')")
                await tab.run(press(".banner button"))
        await tab.until(READY)


LAST = "document.querySelector('.correct .readout').innerText"


@pytest.mark.slow  # half a minute of a browser that draws
async def test_what_was_heard_wrong_is_kept_as_what_it_was_and_undone(serve, tmp_path, microphone):
    folder = tmp_path / "teach"
    server = await serve(trainings=str(folder))
    async with opened(server.url + "/app/listen?source=microphone", *microphone) as tab:
        await tab.until("Boolean(document.querySelector('.correct')?.offsetParent)")
        await tab.run(press(".correct summary"))
        await tab.until("document.querySelector('.names li[data-on]') !== null")
        labels = "[...document.querySelectorAll('.correct .choices button')]"
        names = await tab.run(f"{labels}.map((each) => each.innerText)")
        assert names == ["tone", "noise", "nothing of these"]
        for number, label in ((1, "noise"), (2, "nothing")):
            await tab.run(f"{labels}[{number}].click()")
            await tab.until(f"({LAST}).includes('kept as {label} in toy: 1 clip of it')")
        first, second = clips(folder)
        assert (first.endswith("/noise"), second.endswith("/nothing")) == (True, True)
        note = next((folder / COLLECTIONS).rglob("*.json")).read_text()
        assert json.loads(note)["model"] == "toy"
        path = next(path for path in (folder / COLLECTIONS).rglob("*.wav"))
        assert 0.5 <= soundfile.info(path).duration <= 4
        for label in ("nothing", "noise"):
            await tab.run(press(".correct .readout + button"))
            await tab.until(f"({LAST}).includes('The last clip of {label} is deleted')")
        assert clips(folder) == []


async def test_listen_offers_no_correction_without_the_folder(serve):
    server = await serve()
    async with opened(server.url + "/app/listen?source=example", *FAKE) as tab:
        await tab.until("document.querySelector('.names li') !== null")
        await tab.until("document.querySelector('#server').dataset.kind === 'good'")
        assert await tab.run("document.querySelector('.correct').offsetParent === null")


async def test_the_words_of_the_gate_are_shown_and_another_version_is_served(taught):  # noqa: F811
    server, _ = taught
    async with opened(server.url + "/app/teach", *FAKE) as tab:
        await tab.until("document.querySelector('.training button.main') !== null")
        await tab.run(press(".training button.main"))
        await tab.until(f"({TOLD}).includes('Not served: toy 1 is not promoted: it labels noise')")
        item = "[...document.querySelectorAll('.served li')].find((each) => "
        item += "/^toy\\s/.test(each.innerText))"
        assert "version 2" in await tab.run(f"({item}).innerText")
        await tab.run(f"({item}).querySelector('button').click()")
        await tab.until(f"({item}).querySelector('span').innerText === 'version 1'")
        assert (await server.get("/v1/models/toy"))[1]["version"] == "1"


@pytest.mark.slow  # a training of its own
async def test_from_nothing_to_a_model_that_listen_has(serve, artefacts, tmp_path, microphone):
    folder = tmp_path / "teach"
    server = await serve(trainings=str(folder), artefacts=copied(artefacts, tmp_path))
    paths = {}
    for label, made in LABELS.items():
        paths[label] = [tmp_path / f"{label}{seed}.wav" for seed in range(6)]
        for seed, path in enumerate(paths[label]):
            path.write_bytes(made(seed))
    async with opened(server.url + "/app/teach", *microphone) as tab:
        await tab.until(READY)
        for label in ("high", "low", "buzz"):
            await add_class(tab, label)
        await tab.run(press('[aria-label="Record high"]'))
        await tab.until(f"({COUNTS}).high === 1")
        for label, files in paths.items():
            shown = "Background" if label == "nothing" else label
            await choose(tab, f'[aria-label="Files of {label}"]', *files)
            await tab.until(f"({COUNTS}).{shown} >= 6")
        await tab.run("document.querySelector('input[type=checkbox]').click()")
        await tab.run(
            "[...document.querySelectorAll('[aria-label=Teach] select')].at(2).value = '1'"
        )
        await tab.run(
            "[...document.querySelectorAll('button')].find((b) => b.innerText === 'Train').click()"
        )
        await tab.until("document.querySelector('.training progress[value]') !== null")
        await tab.until(
            "document.querySelector('.training h3').innerText === 'mine is done'", seconds=300
        )
        text = await tab.run("document.querySelector('.training').innerText")
        assert "without knowledge" in text
        assert "Report" in text
        await tab.run(press(".training button.main"))
        await tab.until(f"({TOLD}).includes('mine 1 is served')", seconds=120)
        await tab.run(press(".training .readout a"))
        await tab.until(
            "[...document.querySelectorAll('[aria-label=Listen] select')]"
            ".some((each) => each.value === 'mine')"
        )
        # Served twice, it can be taken back.
        await tab.run(press("nav a[href$=teach]"))
        await tab.until(READY)
        await tab.run(press(".training button.main"))
        await tab.until(f"({TOLD}).includes('mine 2 is served')", seconds=120)
        served = "[...document.querySelectorAll('.served li')].find((each) => "
        served += "each.innerText.startsWith('mine'))"
        await tab.until(f"({served}).innerText.includes('version 2')")
        await tab.run(f"({served}).querySelector('button').click()")
        await tab.until(
            "(async () => (await (await fetch('/v1/models/mine')).json()).version === '1')()"
        )
