"""The routes of trainings and labelled clips: what they answer, and what they reject."""

import io
import json
import os
import signal
import subprocess

import pytest
from PIL import Image

from service.auth.key_store import FileKeyStore
from service.trainings.folder import COLLECTIONS
from service.trainings.record import EXIT, LOG, PROCESS, status_of, tail
from tests.helpers.server_process import BIN, ROOT
from tests.service.conftest import tone, until, wav
from tests.service.helpers.keys import new_key
from tests.service.helpers.problems import is_problem
from tests.service.helpers.queued import FOREVER, is_alive, queued, wait_until_gone
from tests.service.helpers.teaching import written

ROBIN = "/v1/collections/birds/robin"


@pytest.fixture
def folder(tmp_path):
    yield tmp_path / "teach"
    for path in (tmp_path / "teach").glob(f"*/{PROCESS}"):
        pid = json.loads(path.read_text())["pid"]
        if is_alive(pid):
            os.kill(pid, signal.SIGTERM)
            wait_until_gone(pid)


def picture():
    buffer = io.BytesIO()
    Image.new("RGB", (40, 40), "red").save(buffer, "PNG")
    return buffer.getvalue()


def stored(folder):
    root = folder / COLLECTIONS
    return [path for path in root.rglob("*") if path.is_file()]


async def test_a_clip_is_stored_returned_and_removed(serve, folder):
    server = await serve(trainings=str(folder))
    sound = wav(tone(1))
    path = f"{ROBIN}?source=garden&model=toy&version=2"
    status, answer, headers = await server.post(path, data=sound)
    assert status == 201, answer
    assert (answer["label"], answer["source"]) == ("robin", "garden")
    assert answer["collection"]["labels"] == [{"name": "robin", "clips": 1}]
    assert headers["Location"] == f"{ROBIN}/{answer['id']}"
    async with server.http.get(server.url + headers["Location"]) as response:
        assert await response.read() == sound
        assert "sandbox" in response.headers["Content-Security-Policy"]
        assert response.headers["X-Content-Type-Options"] == "nosniff"
    note = json.loads(next(path for path in stored(folder) if path.suffix == ".json").read_text())
    assert (note["model"], note["version"], note["client"]) == ("toy", "2", "127.0.0.1")
    _, listed, _ = await server.get("/v1/collections")
    _, birds, _ = await server.get("/v1/collections/birds")
    assert listed["collections"][0]["name"] == birds["name"] == "birds"
    newest = [{"id": answer["id"], "source": "garden"}]
    assert birds["labels"] == [{"name": "robin", "clips": 1, "newest": newest}]
    status, removed, _ = await server.delete(headers["Location"])
    assert (status, removed) == (200, {"removed": answer["id"]})
    assert stored(folder) == []
    status, answer, headers = await server.delete(headers["Location"])
    assert is_problem(404, answer, headers)


async def test_pictures_and_forms_are_stored_too(serve, folder):
    server = await serve(trainings=str(folder))
    status, answer, _ = await server.post(f"{ROBIN}?source=a", data={"file": io.BytesIO(picture())})
    assert status == 201, answer
    assert (folder / COLLECTIONS / "birds" / "a" / "robin" / f"{answer['id']}.png").is_file()


async def test_labels_in_the_path_are_decoded_and_have_one_form(serve, folder):
    server = await serve(trainings=str(folder))
    for path in ("Fl%C3%B6te", "Flo%CC%88te", "Flöte"):
        url = f"/v1/collections/music/{path}?source=a"
        status, answer, _ = await server.post(url, data=wav(tone(1)))
        assert (status, answer["label"]) == (201, "Flöte")


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("/v1/collections/birds/robin", 422, "source is missing"),
        (f"{ROBIN}?source=", 422, "source=''"),
        (f"{ROBIN}?source=../x", 422, "source='../x'"),
        (f"{ROBIN}?source=a&source=b", 422, "given twice"),
        (f"{ROBIN}?source=a&label=b", 422, "unknown query parameter 'label'"),
        (f"{ROBIN}?source=a&model={'x' * 65}", 422, "64 characters at most"),
        (f"{ROBIN}?source=a&version=%1F", 422, "must be printable"),
        ("/v1/collections/birds/a%2Fb?source=a", 422, "must have no slash"),
        ("/v1/collections/birds/%2E%2E%2F%2E%2E?source=a", 422, "must have no slash"),
        ("/v1/collections/birds/a%00b?source=a", 422, "control characters"),
        ("/v1/collections/%2E%2E%2Fx/robin?source=a", 422, "collection='../x'"),
        ("/v1/collections/birds/.x?source=a", 422, "begins with a dot"),
        ("/v1/collections/birds/train?source=a", 422, "a part of a split"),
    ],
)
async def test_names_and_parameters_that_cannot_be_are_rejected(serve, folder, path, status, said):
    from yarl import URL

    server = await serve(trainings=str(folder))
    url = URL(server.url + path, encoded=True)
    async with server.http.post(url, data=wav(tone(1))) as response:
        answer = await response.json()
        assert is_problem(status, answer, response.headers), answer
    assert said in answer["detail"]
    assert stored(folder) == []


async def test_what_cannot_be_decoded_or_is_too_large_is_not_stored(serve, folder):
    sound = wav(tone(1))
    server = await serve(trainings=str(folder), max_body=len(sound))
    for data, expected in (
        (b"no sound", 415),
        (b"", 400),
        (sound[:-100], 400),
        (sound + b"\0", 413),
    ):
        _, answer, headers = await server.post(f"{ROBIN}?source=a", data=data)
        assert is_problem(expected, answer, headers), answer
        assert stored(folder) == []
    assert (await server.post(f"{ROBIN}?source=a", data=sound))[0] == 201


async def test_the_bounds_of_what_is_stored_are_507(serve, folder):
    server = await serve(trainings=str(folder), max_labelled_clips=1)
    assert (await server.post(f"{ROBIN}?source=a", data=wav(tone(1))))[0] == 201
    _, answer, headers = await server.post(f"{ROBIN}?source=a", data=wav(tone(1)))
    assert is_problem(507, answer, headers)
    assert "max_labelled_clips" in answer["detail"]
    server = await serve(trainings=str(folder), max_labelled_bytes=1_000)
    _, answer, headers = await server.post(f"{ROBIN}?source=a", data=wav(tone(1)))
    assert is_problem(507, answer, headers)
    assert "max_labelled_bytes" in answer["detail"]
    assert len(stored(folder)) == 2


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (b"", 400, "empty"),
        (b"{", 400, "not JSON"),
        (b"[]", 422, "must be an object"),
        (b"{}", 422, "missing field recipe"),
        (b'{"recipe": 1}', 422, "of type str"),
        (b'{"recipe": "sounds", "out": "/"}', 422, "unknown field out"),
        (b'{"recipe": "../x"}', 422, "must be the name of a recipe"),
        (b'{"recipe": "sounds", "settings": [1]}', 422, "settings"),
        (b'{"recipe": "sounds", "settings": {"collection.path": "/etc"}}', 422, "is outside of"),
        (b'{"recipe": "sounds", "settings": {"x": NaN}}', 400, "not JSON"),
        (b'{"recipe": "sounds", "settings": {"nonesuch": 1}}', 422, "unknown setting nonesuch"),
        (b'{"recipe": "nonesuch"}', 422, "no recipe 'nonesuch'; there is"),
        (b'{"recipe": "%s"}' % (b"x" * (2**16 - 14)), 422, "must be the name of a recipe"),
        (b'{"recipe": "%s"}' % (b"x" * (2**16 - 13)), 413, "at most 65536"),
    ],
)
async def test_requests_that_cannot_be_are_rejected_in_words(serve, folder, body, status, said):
    server = await serve(trainings=str(folder))
    code, answer, headers = await server.post("/v1/trainings", data=body)
    assert is_problem(status, answer, headers), answer
    assert (code, said in answer["detail"]) == (status, True), answer
    assert (await server.get("/v1/trainings"))[1] == {"trainings": []}


async def test_a_training_is_listed_shown_cancelled_and_removed(serve, folder):
    path = queued(folder, FOREVER)
    server = await serve(trainings=str(folder))
    await until(lambda: tail(path / LOG) == ["at work"])
    _, listed, _ = await server.get("/v1/trainings")
    assert [(one["id"], one["state"]) for one in listed["trainings"]] == [(path.name, "running")]
    _, shown, _ = await server.get(f"/v1/trainings/{path.name}")
    assert (shown["log"], shown["curves"], shown["result"]) == (["at work"], [], None)
    _, answer, headers = await server.delete(f"/v1/trainings/{path.name}?remove=true")
    assert is_problem(422, answer, headers)
    assert (await server.delete(f"/v1/trainings/{path.name}"))[0] == 200
    await until((path / EXIT).exists)
    assert (await server.get(f"/v1/trainings/{path.name}"))[1]["state"] == "cancelled"
    _, answer, headers = await server.get(f"/v1/trainings/{path.name}/report")
    assert is_problem(404, answer, headers)
    _, answer, headers = await server.delete(f"/v1/trainings/{path.name}?remove=yes")
    assert is_problem(422, answer, headers)
    assert (await server.delete(f"/v1/trainings/{path.name}?remove=true"))[0] == 200
    for method in (server.get, server.delete):
        _, answer, headers = await method(f"/v1/trainings/{path.name}")
        assert is_problem(404, answer, headers)


def start_server(folder, artefacts):
    """A server as a process of its own, ready."""
    options = ["--port", "0", "--trainings", str(folder), "--artefacts", str(artefacts)]
    process = subprocess.Popen(
        [BIN / "timbre", "serve", *options], stderr=subprocess.PIPE, text=True, cwd=ROOT
    )
    for line in process.stderr:
        if " ready " in line:
            return process
    raise AssertionError(process.wait(120))


def test_a_killed_server_leaves_the_training_and_the_next_one_tells_the_truth(folder, artefacts):
    path, waiting = queued(folder, FOREVER), queued(folder, "print('x')")
    for end in (signal.SIGKILL, signal.SIGTERM):
        server = start_server(folder, artefacts)
        while tail(path / LOG) != ["at work"]:
            assert server.poll() is None
        pid = written(folder, path.name, PROCESS)["pid"]
        server.send_signal(end)
        server.wait(60)
        server.stderr.close()
        assert (status_of(path).state, status_of(waiting).state) == ("running", "queued")
        assert is_alive(pid)
    os.kill(pid, signal.SIGKILL)
    wait_until_gone(pid)
    server = start_server(folder, artefacts)
    while status_of(waiting).state != "done":
        assert server.poll() is None
    assert status_of(path).state == "failed"
    assert "was killed before it could end" in status_of(path).why
    server.terminate()
    server.wait(60)
    server.stderr.close()


def test_a_folder_that_cannot_be_used_ends_the_start_in_words(tmp_path):
    (tmp_path / "file").write_text("")
    done = subprocess.run(
        [BIN / "timbre", "serve", "--port", "0", "--trainings", str(tmp_path / "file" / "x")],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 2
    assert "cannot be used: Not a directory" in done.stderr


async def test_with_keys_every_route_needs_the_scope_admin(serve, folder, tmp_path):
    path = tmp_path / "keys.json"
    texts = {}
    for scope in ("classify", "stream", "admin"):
        key, texts[scope] = new_key(scope, scopes=(scope,), rate=1_000.0)
        await FileKeyStore(path).put(key)
    server = await serve(trainings=str(folder), keys=str(path))
    for scope, text in texts.items():
        headers = {"Authorization": f"Bearer {text}"}
        for method, route in (
            ("GET", "/v1/trainings"),
            ("POST", "/v1/trainings"),
            ("GET", "/v1/trainings/x"),
            ("DELETE", "/v1/trainings/x"),
            ("GET", "/v1/trainings/x/report"),
            ("GET", "/v1/collections"),
            ("POST", "/v1/collections/birds/robin"),
            ("GET", "/v1/collections/birds"),
            ("GET", "/v1/collections/birds/robin/x"),
            ("DELETE", "/v1/collections/birds/robin/x"),
            ("POST", "/v1/models/toy/promote"),
        ):
            url = server.url + route
            async with server.http.request(method, url, headers=headers) as response:
                assert (response.status == 403) is (scope != "admin"), (scope, method, route)
            async with server.http.request(method, url) as response:
                assert response.status == 401
    status, answer, _ = await server.post(
        f"{ROBIN}?source=a",
        data=wav(tone(1)),
        headers={"Authorization": f"Bearer {texts['admin']}"},
    )
    assert status == 201, answer
    note = json.loads(next(path for path in stored(folder) if path.suffix == ".json").read_text())
    assert texts["admin"].startswith(f"timbre_{note['client']}_")
