"""New versions replace served ones under live streams; invalid ones do not; pins roll back."""

import asyncio
import errno
import os
import shutil
import threading
import time
import weakref
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from models.artefact import write
from models.manifest import Label
from models.pin import FILE, Pin, write_pin
from models.session import Session
from models.store import Store
from service.api.local_admin import FORWARDING_HEADERS
from service.auth.key_store import FileKeyStore
from service.auth.keys import create_key
from service.inference import version_updater
from service.inference.version_scanner import VersionScanner
from service.queue import local
from tests.models.helpers.endless import endless_loop, put_endless
from tests.service.conftest import COMMON, RATE, begin, noise, pcm, rest_of, tone, until, wav
from tests.service.helpers.problems import is_problem
from tests.service.helpers.versions import copied, put, served

LOAD = "/v1/models/toy/load"
CLASSIFY = "/v1/models/toy/classify"
HOP = 11_264


@pytest.fixture
def folder(artefacts, tmp_path, monkeypatch):
    """Toy 1 and 2, scanned often."""
    monkeypatch.setattr(version_updater, "SCAN_S", 0.02)
    return copied(artefacts, tmp_path)


@pytest.fixture
async def server(serve, folder):
    return await serve(artefacts=folder)


def resident():
    """Bytes of memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def model_threads():
    return [thread for thread in threading.enumerate() if thread.name == "model"]


def count_scans(server, monkeypatch):
    """A list that grows with each scan."""
    scanner, scans = server.gateway.scanner, []
    scan = scanner.scan
    monkeypatch.setattr(scanner, "scan", lambda current: scans.append(current) or scan(current))
    return scans


class Listener:
    """A live stream that sends a hop at a time and keeps the results."""

    def __init__(self, socket):
        self.socket = socket
        self.sent = 0
        self.received = []

    async def exchange(self, count=1):
        """Send the sound of so many more windows, and wait for their results."""
        for _ in range(count):
            await self.send()
            version = await self.wait()
        return version

    async def send(self, count=1):
        for _ in range(count):
            size = HOP if self.sent else 2 * RATE
            await self.socket.send_bytes(pcm(noise(size / RATE, seed=self.sent)))
            self.sent += size

    async def wait(self, count=1):
        for _ in range(count):
            while (message := await self.socket.receive_json(timeout=60))["type"] != "window":
                self.received.append(message)
            self.received.append(message)
        return message["version"]

    async def end(self):
        """Return the versions of all windows; check that each has one result."""
        await self.socket.send_json({"type": "end"})
        *messages, end, code = self.received + await rest_of(self.socket)
        assert (end["reason"], end["samples_dropped"], code) == ("client ended", 0, 1000)
        windows = [message for message in messages if message["type"] == "window"]
        assert [window["start_sample"] for window in windows] == [
            n * HOP for n in range(len(windows))
        ]
        assert len(windows) == end["windows"] == 1 + (self.sent - 2 * RATE) // HOP
        return [int(window["version"]) for window in windows]


async def listen(server, *, query="", model="toy"):
    socket = await server.http.ws_connect(f"{server.url}/v1/models/{model}/stream{query}")
    ready = await begin(socket)
    assert ready["type"] == "ready"
    return Listener(socket)


async def test_a_live_stream_switches_to_a_new_version_and_a_pinned_one_does_not(server, folder):
    moving, pinned, old = (
        await listen(server),
        await listen(server, query="?version=2"),
        await listen(server, query="?version=1"),
    )
    assert [await each.exchange() for each in (moving, pinned, old)] == ["2", "2", "1"]
    put(folder, 3)
    await until(lambda: served(server) == "3")
    assert [await each.exchange(2) for each in (moving, pinned, old)] == ["3", "2", "1"]
    assert await moving.end() == [2, 3, 3]
    assert await pinned.end() == [2, 2, 2]
    assert await old.end() == [1, 1, 1]
    _, answer, _ = await server.post(CLASSIFY, data=wav(tone(2)))
    assert answer["version"] == "3"


@pytest.mark.slow  # switches twelve times
async def test_twelve_switches_lose_no_window_and_unload_the_old_models(
    server, folder, monkeypatch
):
    monkeypatch.setattr(local, "IDLE_S", 0.1)
    listeners = [await listen(server) for _ in range(4)]
    gone = []

    async def play(listener):
        while len(gone) < 12 or listener.received[-1]["version"] != "14":
            await listener.exchange()
            await asyncio.sleep(0.01)

    playing = [asyncio.create_task(play(listener)) for listener in listeners]
    await until(lambda: all(listener.received for listener in listeners))
    for version in range(3, 15):
        before = server.gateway.registry.find("toy")
        gone += [weakref.ref(before), weakref.ref(before.session._session)]
        del before
        put(folder, version, of=folder / "toy" / "2", broken=version == 7)
        if version != 7:
            await until(lambda: served(server) == str(version))  # noqa: B023 - asked at once
    await asyncio.gather(*playing)
    for listener in listeners:
        versions = await listener.end()
        assert versions == sorted(versions)
        assert (versions[0], versions[-1]) == (2, 14)
        assert 7 not in versions
    await until(lambda: not any(ref() for ref in gone[:-4]))
    current = server.gateway.registry.find("toy")
    assert {ref() for ref in gone} <= {None, current, current.session._session}
    del current
    await until(lambda: len(model_threads()) <= 1)


async def test_pending_windows_are_answered_by_the_version_they_were_made_for(
    server, folder, monkeypatch
):
    predict = Session.predict

    def slowly(session, batch):
        time.sleep(0.02)
        return predict(session, batch)

    monkeypatch.setattr(Session, "predict", slowly)
    listener = await listen(server)
    await listener.exchange()
    for version in range(3, 7):
        await listener.send(6)
        put(folder, version)
        await server.post(LOAD)
        await listener.send(2)
        await listener.wait(8)
    versions = await listener.end()
    assert versions == [2] * 7 + [3] * 8 + [4] * 8 + [5] * 8 + [6] * 2


async def test_an_invalid_version_is_logged_once_and_served_when_repaired(server, folder, capsys):
    listener = await listen(server)
    await listener.exchange()
    broken = put(folder, 3, broken=True)
    await until(lambda: server.gateway.scanner.rejected("toy"))
    await asyncio.sleep(0.2)
    assert await listener.exchange() == "2"
    assert (await server.get("/readyz"))[0] == 200
    _, described, _ = await server.get("/v1/models/toy")
    assert (described["version"], described["versions"]) == ("2", ["1", "2", "3"])
    assert list(described["refused"]) == ["3"]
    assert "sha256" in described["refused"]["3"]
    lines = [line for line in capsys.readouterr().err.splitlines() if "version rejected" in line]
    assert len(lines) == 1
    assert "model=toy version=3" in lines[0]
    shutil.copy(folder / "toy" / "2" / "model.onnx", broken / "model.onnx")
    await until(lambda: served(server) == "3")
    assert (await server.get("/v1/models/toy"))[1]["refused"] == {}
    assert await listener.exchange() == "3"
    assert await listener.end() == [2, 2, 3]


def test_an_unfinished_copy_is_pending_and_not_rejected(folder, capsys):
    scanner, serving = VersionScanner(Store(folder)), {"toy": "2", "toy-net": "1"}
    target = folder / "toy" / "3"
    ready = put(folder, 4).rename(folder / "ready")
    target.mkdir()
    (ready / "manifest.json").write_text(
        (ready / "manifest.json").read_text().replace('"4"', '"3"')
    )
    for file in sorted(ready.iterdir()):
        content = file.read_bytes()
        for at in range(0, len(content), -(-len(content) // 4)):
            with (target / file.name).open("ab") as half:
                half.write(content[at : at + -(-len(content) // 4)])
            assert scanner.scan(serving) == []
    assert [each.version for each in scanner.scan(serving)] == ["3"]
    assert scanner.load("toy", "3").version == "3"
    assert scanner.rejected("toy") == {}
    assert "version rejected" not in capsys.readouterr().err


async def test_an_older_version_loaded_by_hand_stays_until_a_newer_one_than_all_comes(
    server, folder
):
    listener = await listen(server)
    assert await listener.exchange() == "2"
    status, answer, _ = await server.post(LOAD, json={"version": "1"})
    assert status == 200
    assert set(answer) == {"name", "version", "previous", "kept", "seconds"}
    assert (answer["name"], answer["version"], answer["previous"], answer["kept"]) == (
        "toy",
        "1",
        "2",
        True,
    )
    await asyncio.sleep(0.2)
    assert await listener.exchange() == "1"
    put(folder, 3)
    await until(lambda: served(server) == "3")
    assert await listener.exchange() == "3"
    await server.post(LOAD, json={"version": "2"})
    assert await listener.exchange() == "2"
    _, answer, _ = await server.post(LOAD)
    assert (answer["version"], answer["previous"]) == ("3", "2")
    assert not (folder / "toy" / FILE).exists()
    assert await listener.exchange() == "3"


async def test_a_pin_reaches_other_gateways_and_the_next_start(server, folder, serve):
    other = await serve(artefacts=folder)
    await server.post(LOAD, json={"version": "1"})
    await until(lambda: served(other) == "1")
    third = await serve(artefacts=folder)
    assert served(third) == "1"
    await other.post(LOAD, json={})
    await until(lambda: (served(server), served(third)) == ("2", "2"))


async def test_a_pin_that_cannot_be_saved_applies_and_is_reported(server, folder, capsys):
    (folder / "toy" / FILE).mkdir()
    _, answer, _ = await server.post(LOAD, json={"version": "1"})
    assert (answer["version"], answer["kept"]) == ("1", False)
    await asyncio.sleep(0.2)
    assert served(server) == "1"
    assert "pin not saved" in capsys.readouterr().err
    assert FILE in (await server.get("/v1/models/toy"))[1]["refused"]


@pytest.mark.parametrize("path", [LOAD, "/v2/repository/models/toy/unload"])
async def test_what_is_asked_for_holds_where_the_folder_is_read_only(
    server, folder, monkeypatch, path
):
    def read_only(*_):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr("models.pin.write_atomic", read_only)
    scans, wanted = count_scans(server, monkeypatch), "1" if path == LOAD else None
    _, answer, _ = await server.post(path, json={"version": "1"} if path == LOAD else {})
    assert (answer["previous"], answer["kept"]) == ("2", False)
    before = len(scans)
    await until(lambda: len(scans) > before + 3)
    assert server.gateway.registry.served.get("toy") == wanted
    # A pin of another process is newer, and so is a version.
    monkeypatch.undo()
    monkeypatch.setattr(version_updater, "SCAN_S", 0.02)
    write_pin(folder / "toy", Pin(version="2", newest="2"))
    await until(lambda: server.gateway.registry.served.get("toy") == "2")
    _, answer, _ = await server.post(LOAD, json={"version": "1"})
    assert (served(server), answer["kept"]) == ("1", True)


async def test_a_version_found_before_another_was_loaded_by_hand_does_not_replace_it(
    server, folder, monkeypatch
):
    scanner, found, loaded, later = server.gateway.scanner, threading.Event(), threading.Event(), []
    scan = scanner.scan

    def slow_scan(current):
        candidates = scan(current)
        if candidates and not loaded.is_set():
            found.set()
            loaded.wait(60)
            return candidates
        if loaded.is_set():
            later.append(candidates)
        return candidates

    monkeypatch.setattr(scanner, "scan", slow_scan)
    put(folder, 3)
    await until(found.is_set)
    assert (await server.post(LOAD, json={"version": "1"}))[0] == 200
    loaded.set()
    await until(lambda: len(later) > 3)
    assert served(server) == "1"
    assert later == [[]] * len(later)


@pytest.mark.parametrize(
    ("path", "body", "status", "detail"),
    [
        ("/v1/models/tuba/load", None, 404, "no model 'tuba'"),
        (LOAD, {"version": "9"}, 404, "there is 1, 2, 3"),
        (LOAD, {"version": "3"}, 409, "sha256"),
        (LOAD, None, 409, "sha256"),
        (LOAD, {"version": 1}, 422, "text"),
        (LOAD, {"verzion": "1"}, 422, '{"version": "2"}'),
        (LOAD, [], 422, '{"version": "2"}'),
        (LOAD, "nonsense", 400, "JSON"),
        (LOAD + "?version=1", None, 422, "unknown query parameter"),
    ],
)
async def test_an_invalid_version_is_rejected_with_the_reason_and_changes_nothing(
    server, folder, path, body, status, detail
):
    put(folder, 3, broken=True)
    data = {"data": body} if isinstance(body, str) else {"json": body} if body is not None else {}
    found, problem, _ = await server.post(path, **data)
    assert (found, problem["status"]) == (status, status)
    assert detail in problem["detail"]
    assert served(server) == "2"


async def test_a_version_with_other_labels_skips_open_streams_and_warns_once(server, folder):
    listener = await listen(server)
    await listener.exchange()
    put(folder, 3, labels=[{"name": name, "threshold": 0.5} for name in ("tone", "hiss")])
    await until(lambda: served(server) == "3")
    assert await listener.exchange(3) == "2"
    (warning,) = [message for message in listener.received if message["type"] == "warning"]
    assert (warning["kind"], warning["from_sample"]) == ("version", HOP)
    assert "labels" in warning["detail"]
    assert await listener.end() == [2, 2, 2, 2]
    other = await listen(server)
    assert await other.exchange() == "3"
    assert "hiss" in other.received[-1]["scores"]


async def test_a_version_with_another_input_serves_new_streams_only(server, folder):
    listener = await listen(server)
    await listener.exchange()
    put(folder, 3, of=folder / "toy-net" / "1")
    await until(lambda: served(server) == "3")
    assert await listener.exchange() == "2"
    assert (
        "input"
        in next(message for message in listener.received if message["type"] == "warning")["detail"]
    )
    assert await (await listen(server)).exchange() == "3"


async def test_a_served_version_is_kept_when_its_folder_is_removed(server, folder):
    listener = await listen(server)
    await listener.exchange()
    shutil.rmtree(folder / "toy")
    await asyncio.sleep(0.1)
    assert await listener.exchange(2) == "2"
    assert (await server.post(CLASSIFY, data=wav(tone(2))))[1]["version"] == "2"
    assert (await server.get("/v1/models/toy"))[1]["versions"] == ["2"]
    shutil.rmtree(folder)
    await asyncio.sleep(0.1)
    assert await listener.exchange() == "2"


async def test_a_start_with_a_broken_latest_version_serves_the_one_before(serve, folder, capsys):
    put(folder, 3, broken=True)
    server = await serve(artefacts=folder)
    assert served(server) == "2"
    assert list((await server.get("/v1/models/toy"))[1]["refused"]) == ["3"]
    assert "version rejected model=toy version=3" in capsys.readouterr().err


async def test_a_new_model_is_served_when_its_first_version_comes_unless_others_are_named(
    serve, server, folder
):
    narrow = await serve(artefacts=folder, models=("toy",))
    assert (await server.get("/v1/models/other"))[0] == 404
    (folder / "other").mkdir()
    put(folder, 1, name="other", of=folder / "toy" / "2")
    await until(lambda: "other" in server.gateway.registry.names)
    assert await (await listen(server, model="other")).exchange() == "1"
    assert [each["name"] for each in (await server.get("/v1/models"))[1]["models"]] == [
        "other",
        "toy",
        "toy-net",
    ]
    assert (await narrow.post("/v1/models/other/load"))[0] == 404


async def test_with_keys_only_an_admin_loads(serve, folder, tmp_path):
    store = FileKeyStore(tmp_path / "keys.json")
    texts = {}
    for scope in ("classify", "admin"):
        key, texts[scope] = create_key("someone", scopes=(scope,), rate=100.0, streams=1)
        await store.put(key)
    server = await serve(artefacts=folder, keys=str(tmp_path / "keys.json"))
    for scope, expected in (("classify", 403), ("admin", 200)):
        headers = {"Authorization": f"Bearer {texts[scope]}", "X-Forwarded-For": "192.0.2.1"}
        assert (await server.post(LOAD, json={"version": "1"}, headers=headers))[0] == expected
    assert (await server.post(LOAD))[0] == 401


async def test_without_keys_only_programs_of_this_machine_load(serve, server, folder):
    for name in FORWARDING_HEADERS:
        status, problem, _ = await server.post(LOAD, headers={name: server.url})
        assert (status, name in problem["detail"]) == (403, True)
    open_server = await serve(artefacts=folder, host="0.0.0.0", insecure=True)
    assert (await open_server.post(LOAD))[0] == 403
    assert (await open_server.get("/v1/models"))[0] == 200
    assert (await server.post(LOAD))[0] == 200


def bulky():
    """A graph from the features to two scores that takes 8 MB."""
    weights = {
        "wide": np.full((26, 70_000), 1e-6, np.float32),
        "narrow": np.full((70_000, 2), 1e-6, np.float32),
    }
    nodes = [
        helper.make_node("MatMul", ["row", "wide"], ["many"]),
        helper.make_node("MatMul", ["many", "narrow"], ["sums"]),
        helper.make_node("Sigmoid", ["sums"], ["scores"]),
    ]
    graph = helper.make_graph(
        nodes,
        "bulky",
        [helper.make_tensor_value_info("row", TensorProto.FLOAT, ["n", 26])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", 2])],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return model.SerializeToString()


@pytest.mark.slow  # swaps many times
async def test_memory_does_not_grow_with_swaps(serve, folder, monkeypatch):
    monkeypatch.setattr(local, "IDLE_S", 0.05)
    labels = [Label(name=name, threshold=0.5) for name in ("tone", "noise")]
    inputs = np.zeros((2, 26), np.float32)
    write(
        folder,
        name="bulky",
        kind="features",
        labels=labels,
        onnx=bulky(),
        golden_inputs=inputs,
        **COMMON,
    )
    server = await serve(artefacts=folder)
    sizes = []
    for version in range(2, 14):
        put(folder, version, name="bulky", of=folder / "bulky" / "1")
        assert (await server.post("/v1/models/bulky/load"))[0] == 200
        _, answer, _ = await server.post("/v1/models/bulky/classify", data=wav(tone(2)))
        assert answer["version"] == str(version)
        # What the model's thread has set aside goes with it.
        await until(lambda: not model_threads())
        sizes.append(resident())
    # It goes up and down by what threads keep for their next call; five models more would take 150
    # MB.
    assert min(sizes[8:]) - max(sizes[:4]) < 60e6


async def test_a_version_that_never_loads_is_refused_and_later_ones_are_served(serve, folder):
    server = await serve(artefacts=folder, load_timeout=2.5)
    put_endless(folder, "toy", "3", endless_loop((26,), 2))
    await until(lambda: "3" in server.gateway.registry.describe("toy")["refused"])
    put(folder, 4, of=folder / "toy" / "2")
    await until(lambda: served(server) == "4")
    status, answer, _ = await server.get("/v1/models")
    assert status == 200
    toy = next(each for each in answer["models"] if each["name"] == "toy")
    assert toy["refused"] == {"3": "toy 3: not loaded and verified within 2.5 s; it may never end"}
    status, answer, headers = await server.post(f"{CLASSIFY}?version=3", data=wav(tone(2)))
    assert is_problem(status, answer, headers)
    status, answer, headers = await server.post(LOAD, json={"version": "3"})
    assert (status, is_problem(status, answer, headers)) == (409, True)
    assert served(server) == "4"


async def test_a_version_asked_for_by_number_is_answered_by_the_deadline_of_clips(serve, folder):
    server = await serve(artefacts=folder, load_timeout=2.5, clip_deadline=0.1, models=("toy",))
    put_endless(folder, "toy", "1000", endless_loop((26,), 2))
    status, answer, headers = await server.post(f"{CLASSIFY}?version=1000", data=wav(tone(2)))
    assert (status, is_problem(status, answer, headers)) == (504, True)
    assert "version '1000' was not loaded within 0.1 s" in answer["detail"]
    await until(lambda: "1000" in server.gateway.registry.describe("toy")["refused"])
