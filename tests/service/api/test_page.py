"""The page is served to everybody, cached by its hash, and bound to its own origin."""

import gzip

import pytest

from service.api.page import POLICY, VIEWS
from service.page.files import page_files


async def fetch(server, path, **headers):
    async with server.http.get(
        server.url + path, headers=headers, auto_decompress=False
    ) as response:
        return response.status, response.headers, await response.read()


@pytest.mark.parametrize("path", ["/", *(f"/app/{view}" for view in VIEWS)])
async def test_every_view_is_the_same_document_asked_for_anew_each_time(serve, path):
    server = await serve()
    status, headers, body = await fetch(server, path, **{"Accept-Encoding": "identity"})
    assert (status, body) == (200, page_files().document.body)
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    assert headers["Cache-Control"] == "no-cache"
    assert headers["Content-Security-Policy"] == POLICY
    assert headers["X-Content-Type-Options"] == "nosniff"
    status, again, body = await fetch(server, path, **{"If-None-Match": headers["ETag"]})
    assert (status, body) == (304, b"")
    assert again["Content-Security-Policy"] == POLICY
    assert (await fetch(server, path, **{"If-None-Match": '"other"'}))[0] == 200


async def test_a_view_that_does_not_exist_is_a_problem_that_names_those_that_do(serve):
    server = await serve()
    status, problem, _ = await server.get("/app/secrets")
    assert status == 404
    assert "listen, look, play, teach, models, status" in problem["detail"]


async def test_files_are_kept_for_ever_and_compressed_where_that_is_accepted(serve):
    server = await serve()
    files = page_files()
    path = f"/app/{files.version}/timbre.js"
    status, headers, body = await fetch(server, path, **{"Accept-Encoding": "br, gzip"})
    assert (status, headers["Content-Encoding"]) == (200, "gzip")
    assert gzip.decompress(body) == files.files["timbre.js"].body
    assert headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert headers["Content-Type"] == "text/javascript; charset=utf-8"
    assert headers["Vary"] == "Accept-Encoding"
    _, headers, body = await fetch(server, path, **{"Accept-Encoding": "identity"})
    assert "Content-Encoding" not in headers
    assert body == files.files["timbre.js"].body
    _, headers, body = await fetch(
        server, f"/app/{files.version}/quartet.ogg", **{"Accept-Encoding": "gzip"}
    )
    assert (headers["Content-Type"], "Content-Encoding" in headers) == ("audio/ogg", False)


@pytest.mark.parametrize(
    "path", ["0123456789abcdef/timbre.js", "{}/nothing.js", "{}/index.html", "{}/..%2Ffiles.py"]
)
async def test_other_versions_and_other_files_are_not_found(serve, path):
    server = await serve()
    status, problem, headers = await server.get("/app/" + path.format(page_files().version))
    assert (status, headers["Content-Type"]) == (404, "application/problem+json; charset=utf-8")
    assert "no such file" in problem["detail"] or "no such path" in problem["detail"]


async def test_the_page_needs_no_key_and_nothing_else_is_open_by_it(serve, tmp_path):
    (tmp_path / "keys.json").write_text('{"keys": []}')
    server = await serve(keys=str(tmp_path / "keys.json"))
    for path in ("/", "/app/models", f"/app/{page_files().version}/timbre.js"):
        assert (await fetch(server, path))[0] == 200
    for path in ("/v1/models", "/app", "/app/a/b/c", "//"):
        assert (await fetch(server, path))[0] == 401


async def test_the_page_is_there_while_models_are_loaded(serve):
    server = await serve(ready=False)
    assert (await fetch(server, "/"))[0] == 200


async def test_the_page_is_only_of_the_servers_own_names(serve):
    server = await serve()
    assert (await fetch(server, "/", Host="rebound.example"))[0] == 421
