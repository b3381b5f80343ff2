"""The page to clean pictures on: what it does, and for whom."""

import asyncio
import io
from contextlib import contextmanager

import pytest
from aiohttp.test_utils import TestClient, TestServer
from PIL import Image

from tests.helpers.browser import opened
from training.pictures.clean.findings import scan
from training.pictures.clean.moves import MoveJournal
from training.pictures.clean.review_server import ReviewSession, build
from training.pictures.dataset.folders import Layout, listing


@contextmanager
def stage(name):
    yield lambda done, total: None


def cleaner_of(folder, layout="label"):
    layout = Layout.parse(layout)
    return ReviewSession(scan(listing(folder, layout), stage=stage), layout, MoveJournal(folder))


@pytest.fixture
def messy(folder):
    """Two equal files in two classes, an unreadable one and a blank one."""
    (folder / "tree" / "copy.png").write_bytes((folder / "boat" / "boat-0.png").read_bytes())
    (folder / "tree" / "cut.png").write_bytes(b"\x89PNG no")
    Image.new("RGB", (9, 9)).save(folder / "cup" / "plain.png")
    return folder


@pytest.fixture
async def page(messy):
    session = cleaner_of(messy)
    async with TestClient(TestServer(build(session), host="127.0.0.1")) as client:

        async def ask(what, body=None, **headers):
            url = f"/{session.token}/{what}"
            sent = {"X-Timbre-Token": session.token} | headers
            return await (
                client.get(url, headers=headers)
                if body is None
                else client.post(url, json=body, headers=sent)
            )

        ask.session, ask.client, ask.root = session, client, messy
        yield ask


async def test_the_state_tells_what_was_found(page):
    state = await (await page("state")).json()
    kinds = {finding["kind"]: finding["pictures"] for finding in state["findings"]}
    assert {state["paths"][i] for i in kinds["equal"]} == {"boat/boat-0.png", "tree/copy.png"}
    assert state["labels"] == ["boat", "cup", "tree"]
    assert state["label"][kinds["blank"][0]] == "cup"
    assert state["undo"] is False


async def test_pictures_are_kept_moved_deleted_and_brought_back(page):
    number = page.session.paths.index("tree/copy.png")
    changed = await (
        await page("act", {"action": "move", "numbers": [number], "label": "boat"})
    ).json()
    assert changed["pictures"] == [
        {"number": number, "path": "boat/copy.png", "label": "boat", "kept": False}
    ]
    changed = await (await page("act", {"action": "delete", "numbers": [number]})).json()
    assert (changed["pictures"][0]["label"], changed["undo"]) == ("", True)
    assert not (page.root / "boat" / "copy.png").exists()
    await page("undo", {})
    changed = await (await page("undo", {})).json()
    assert changed == {
        "pictures": [{"number": number, "path": "tree/copy.png", "label": "tree", "kept": False}],
        "undo": False,
    }
    await page("act", {"action": "keep", "numbers": [number]})
    assert (await (await page("state")).json())["kept"] == [number]
    assert (page.root / "tree" / "copy.png").is_file()


async def test_a_move_changes_the_label_alone(folder, tmp_path):
    (tmp_path / "all").mkdir()
    folder.rename(tmp_path / "all" / "anna")
    session = cleaner_of(tmp_path / "all", "source/label")
    session.act("move", [session.paths.index("anna/cup/cup-0.png")], "mug")
    assert (tmp_path / "all" / "anna" / "mug" / "cup-0.png").is_file()


async def test_pictures_are_shown_small_and_large_or_not_at_all(page):
    number = page.session.paths.index("boat/boat-0.png")
    for side in (160, 640):
        answer = await page(f"picture/{number}/{side}")
        assert Image.open(io.BytesIO(await answer.read())).size == (side, side)
    unreadable = page.session.paths.index("tree/cut.png")
    for path in (
        f"picture/{unreadable}/160",
        "picture/999/160",
        f"picture/{number}/4000",
        "picture/x/160",
        "picture/-1/160",
    ):
        assert (await page(path)).status == 404


async def test_every_answer_forbids_what_the_page_does_not_need(page):
    for path in ("", "clean.js", "clean.css", "state", "nothing"):
        headers = (await page(path)).headers
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"


async def test_strangers_see_and_do_nothing(page):
    body = {"action": "delete", "numbers": [0]}
    assert (await page.client.get("/")).status == 404
    for path in ("state", "picture/0/160", "clean.js", ""):
        assert (await page.client.get(f"/{'x' * len(page.session.token)}/{path}")).status == 404
        assert (await page(path, Host="evil.example")).status == 403
    for headers in (
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"X-Timbre-Token": ""},
        {"X-Timbre-Token": "x"},
    ):
        assert (await page("act", body, **headers)).status == 403
        assert (await page("undo", {}, **headers)).status == 403
    assert (await page("act", body, Host="evil.example:80")).status == 403
    assert (page.root / page.session.paths[0]).is_file()


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"action": "burn", "numbers": [0]}, 409),
        ({"action": "delete", "numbers": [10_000]}, 400),
        ({"action": "delete", "numbers": [-1]}, 400),
        ({"action": "delete", "numbers": ["0"]}, 400),
        ({"action": "delete", "numbers": [True]}, 400),
        ({"action": "delete", "numbers": []}, 400),
        ({"action": "delete"}, 400),
        ({"action": "move", "numbers": [0], "label": "../out"}, 409),
        ({"action": "move", "numbers": [0], "label": ".trash"}, 409),
        ({"action": "move", "numbers": [0], "label": ""}, 409),
        ({"action": "move", "numbers": [0], "label": "a\nb"}, 409),
        ({"action": "move", "numbers": [0], "label": 7}, 400),
        ([], 400),
        ({"action": ["x"], "numbers": [0]}, 400),
        ({"action": {}, "numbers": [0]}, 400),
        ({"action": None, "numbers": [0]}, 400),
        ({"numbers": [0]}, 400),
    ],
)
async def test_what_makes_no_sense_changes_nothing(page, body, status):
    answer = await page("act", body)
    assert answer.status == status
    assert (await answer.json())["error"]
    assert (page.root / page.session.paths[0]).is_file()
    assert not page.session.journal.steps


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"[" * 100_000, "application/json"),
        (b"{", "application/json"),
        (b"\xff", "application/json"),
        (b"{}", "application/json; charset=nonsense"),
        (b"{}", "x; charset=\xff"),
        (b'{"action": "keep", "numbers": NaN}', ""),
    ],
)
async def test_a_body_that_cannot_be_read_is_400(page, body, kind):
    url = f"/{page.session.token}/act"
    headers = {"X-Timbre-Token": page.session.token, "Content-Type": kind}
    answer = await page.client.post(url, data=body, headers=headers)
    assert answer.status == 400
    assert (await answer.json())["error"]


@pytest.mark.parametrize("token", [b"\xff", b"\xc3\x28", "\u0661".encode()])
async def test_a_token_of_other_bytes_is_a_wrong_one(page, token):
    server = page.client.server
    for head in (
        b"POST /" + page.session.token.encode() + b"/undo HTTP/1.1\r\nX-Timbre-Token: " + token,
        b"GET /" + token + b"/state HTTP/1.1",
        b"GET /%ff/state HTTP/1.1",
    ):
        reader, writer = await asyncio.open_connection(server.host, server.port)
        writer.write(head + b"\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\n\r\n")
        status = int((await asyncio.wait_for(reader.readline(), 60)).split()[1])
        assert status in (400, 403, 404)
        writer.transport.abort()


async def test_a_picture_that_somebody_else_took_away_is_told(page):
    (page.root / page.session.paths[0]).unlink()
    answer = await page("act", {"action": "delete", "numbers": [0]})
    assert answer.status == 409
    assert "does not exist any more" in (await answer.json())["error"]


@pytest.mark.slow  # needs a browser
async def test_a_person_cleans_with_the_keyboard(page):
    url = str(page.client.make_url(f"/{page.session.token}/"))
    async with opened(url) as tab:
        await tab.until("document.activeElement?.classList.contains('card')")
        assert await tab.run("document.getElementById('title').textContent") == "Equal files"
        assert await tab.run("document.querySelectorAll('.set.mixed .card').length") == 2
        await tab.until(
            "[...document.querySelectorAll('.card img')]"
            ".every(image => image.complete && image.naturalWidth === 160)"
        )
        await tab.press("f")
        await tab.until("document.querySelector('.empty strong')?.textContent === 'All decided'")
        assert not (page.root / "tree" / "copy.png").exists()
        assert (page.root / "boat" / "boat-0.png").is_file()
        await tab.press("u")
        await tab.until("document.querySelectorAll('.card').length === 2")
        assert (page.root / "tree" / "copy.png").is_file()
        await tab.press("ArrowRight")
        await tab.press("m")
        await tab.until("document.getElementById('mover').open")
        await tab.run(
            "document.getElementById('target').value = ''; "
            "document.querySelector('#mover [value=\"\"]').click()"
        )
        assert await tab.run(
            "!document.getElementById('mover').open && document.getElementById('undo').disabled"
        )
        await tab.press("m")
        await tab.run("document.getElementById('target').value = 'boat'")
        await tab.press("Enter")
        await tab.until("!document.getElementById('undo').disabled")
        assert (page.root / "boat" / "copy.png").is_file()
        await tab.press("3")
        await tab.until("document.getElementById('title').textContent === 'Blank'")
        await tab.press("k")
        await tab.until(
            "document.querySelector('.empty') && document.querySelectorAll('.card').length === 0"
        )
        assert page.session.journal.kept == {"cup/plain.png"}


@pytest.mark.slow
async def test_the_page_fits_a_phone_and_two_clicks_look_closely(page):
    url = str(page.client.make_url(f"/{page.session.token}/"))
    async with opened(url) as tab:
        size = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
        await tab.send("Emulation.setDeviceMetricsOverride", **size)
        await tab.until("document.querySelectorAll('.card').length > 0")
        await tab.until("innerWidth === 390 && document.documentElement.scrollWidth === 390")
        assert (
            await tab.run("document.querySelector('footer').getBoundingClientRect().bottom") == 844
        )
        x, y = await tab.run(
            "(({x, y}) => [x + 30, y + 30])"
            "(document.querySelector('.card').getBoundingClientRect())"
        )
        for count in (1, 2):
            for kind in ("mousePressed", "mouseReleased"):
                await tab.send(
                    "Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=count
                )
        await tab.until("document.getElementById('closer').open")
        await tab.until("document.querySelector('#closer img').naturalWidth === 640")
