"""`timbre models load` switches a server to a version and reports the result."""

import asyncio
import tomllib
from pathlib import Path

import pytest
from aiohttp import web

from common.terminal import escape
from models.cli import main as models
from service.cli.models_load import main
from tests.service.helpers.versions import copied, put, served


@pytest.fixture
def folder(artefacts, tmp_path):
    """Toy 1 and 2."""
    return copied(artefacts, tmp_path)


@pytest.fixture
async def server(serve, folder):
    return await serve(artefacts=folder)


async def run(*arguments):
    """Away from this loop, for the command has its own."""
    return await asyncio.to_thread(main, list(arguments))


async def test_another_version_is_served_and_the_latest_again(server, capsys):
    assert await run("toy", "--version", "1", "--url", server.url) == 0
    assert served(server) == "1"
    assert capsys.readouterr().out == "toy 1 is served, 2 was before\n"
    assert await run("toy", "--url", server.url) == 0
    assert served(server) == "2"


async def test_errors_have_distinct_exit_codes(server, folder, capsys, tmp_path):
    put(folder, 3, broken=True)
    assert await run("toy", "--url", server.url) == 1
    assert "sha256" in capsys.readouterr().err
    assert await run("tuba", "--url", server.url) == 3
    assert await run("toy", "--version", "9", "--url", server.url) == 3
    assert await run("toy", "--url", "http://127.0.0.1:9") == 4
    assert "timbre models load: " in capsys.readouterr().err
    assert served(server) == "2"


async def test_a_pin_that_was_not_saved_is_reported(server, folder, capsys):
    (folder / "toy" / "current.json").mkdir()
    assert await run("toy", "--version", "1", "--url", server.url) == 0
    assert "could not be written" in capsys.readouterr().err


def test_it_is_a_subcommand_of_timbre_models(capsys, monkeypatch, tmp_path):
    points = tomllib.loads(Path("pyproject.toml").read_text())["project"]["entry-points"][
        "timbre.models"
    ]
    installed = tmp_path / "other-1.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: other\nVersion: 1\n")
    lines = [f"{name} = {target}" for name, target in points.items()]
    (installed / "entry_points.txt").write_text("\n".join(["[timbre.models]", *lines]))
    monkeypatch.syspath_prepend(tmp_path)
    for arguments, told in (
        (["load", "--help"], "timbre models load"),
        (["--help"], "timbre models load --help"),
    ):
        with pytest.raises(SystemExit) as caught:
            models(arguments)
        assert caught.value.code == 0
        assert told in capsys.readouterr().out


FORGED = "x\x1b[31m\x9b2J\x1b]0;title\x07\u202e\nfalse line"


@pytest.mark.parametrize("status", [200, 403, 404, 409, 500])
async def test_what_a_server_says_is_escaped(capsys, status):
    async def answer(_):
        body = {"title": FORGED, "detail": FORGED, "status": status, "type": f"urn:{FORGED}"}
        done = {"name": FORGED, "version": FORGED, "previous": FORGED, "kept": False}
        return web.json_response(done if status == 200 else body, status=status)

    app = web.Application()
    app.router.add_route("*", "/{any:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        await run("toy", "--url", f"http://127.0.0.1:{runner.addresses[0][1]}")
    finally:
        await runner.cleanup()
    told = "".join(capsys.readouterr())
    assert escape(FORGED) in told
    assert not any(control in told for control in "\x1b\x9b\x07\u202e")
    assert "\nfalse" not in told
