"""`timbre keys`, and a server and a listener that use its keys."""

import asyncio
import json
import re
import subprocess
import sys

import aiohttp
import pytest

from service.auth.keys import PATTERN
from service.cli.keys import main
from tests.service.cli.test_serve import serve_process  # noqa: F401 - a fixture
from tests.service.conftest import tone, wav
from tests.service.server.test_tls import ours  # noqa: F401 - a fixture


@pytest.fixture(params=["file", "redis"])
def place(request, tmp_path):
    if request.param == "file":
        return ["--keys", str(tmp_path / "keys.json")]
    return ["--redis", request.getfixturevalue("redis_url")]


def test_a_key_is_made_listed_and_revoked(place, capsys):
    assert (
        main(
            [
                "create",
                "alice at home",
                "--scope",
                "stream",
                "--rate",
                "5",
                "--streams",
                "3",
                *place,
            ]
        )
        == 0
    )
    made = capsys.readouterr()
    key = PATTERN.fullmatch(made.out.strip())
    assert key[1] in made.err
    assert main(["list", *place]) == 0
    line = capsys.readouterr().out
    assert re.search(rf"{key[1]}  \S+  stream +alice at home: 5 requests/s, 3 streams\n", line)
    assert key[2] not in line
    assert main(["revoke", key[1], *place]) == 0
    assert main(["list", *place]) == 0
    assert "revoked 20" in capsys.readouterr().out
    assert main(["revoke", key[1], *place]) == 2
    assert main(["revoke", "none", *place]) == 1


def test_the_url_of_redis_may_come_from_the_environment(redis_url, monkeypatch, capsys):
    assert main(["create", "bob", "--keys", "redis"]) == 2
    assert "TIMBRE_REDIS" in capsys.readouterr().err
    monkeypatch.setenv("TIMBRE_REDIS", redis_url)
    assert main(["create", "bob", "--keys", "redis"]) == 0
    assert main(["list", "--redis", redis_url]) == 0
    assert "bob: " in capsys.readouterr().out


def test_without_a_scope_it_classifies_and_streams(place, capsys):
    assert main(["create", "bob", *place]) == 0
    assert "classify, stream" in capsys.readouterr().err


@pytest.mark.parametrize(
    "wrong", [["--scope", "root"], ["--rate", "0"], ["--streams", "-1"]], ids=lambda each: each[0]
)
def test_invalid_arguments_exit_with_2_and_write_nothing(wrong, tmp_path, capsys):
    assert main(["create", "x", *wrong, "--keys", str(tmp_path / "keys.json")]) == 2
    assert wrong[0].strip("-") in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_missing_key_stores_are_reported(tmp_path, capsys):
    assert main(["list", "--keys", str(tmp_path / "none.json")]) == 2
    assert "none.json: No such file" in capsys.readouterr().err
    assert main(["create", "x", "--keys", str(tmp_path / "none" / "keys.json")]) == 2
    assert main(["list", "--redis", f"unix://:hidden@{tmp_path}/none.sock"]) == 3
    assert "hidden" not in capsys.readouterr().err


COMMAND = [
    sys.executable,
    "-c",
    "import sys; from service.cli.main import main; sys.exit(main(sys.argv[1:]))",
]


def listen_and_ps(*arguments):
    """Run a listener; return its exit code, its stdout, and the output of `ps` while it runs."""
    with subprocess.Popen(
        [*COMMAND, *map(str, arguments)], stdout=subprocess.PIPE, text=True
    ) as process:
        first = process.stdout.readline()
        shown = subprocess.run(
            ["ps", "-ww", "-eo", "args"], capture_output=True, text=True, check=True
        ).stdout
        rest = process.stdout.read()
    return process.returncode, first + rest, shown


def run(*arguments, **environment):
    answer = subprocess.run(
        [*COMMAND, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env=environment or None,
    )
    return answer.returncode, answer.stdout, answer.stderr


async def test_listeners_use_a_key_and_a_certificate_with_a_tls_server(
    serve_process,  # noqa: F811
    ours,  # noqa: F811
    tmp_path,
):
    keys, sound = tmp_path / "keys.json", tmp_path / "tone.wav"
    sound.write_bytes(wav(tone(2.2)))
    text = run("keys", "create", "carol", "--keys", keys)[1].strip()
    options = [
        "--keys",
        keys,
        "--gateways",
        2,
        "--set",
        f"tls_certificate={ours[0]}",
        "--set",
        f"tls_key={ours[1]}",
    ]
    server = serve_process("--host", "0.0.0.0", *options)
    port = (await asyncio.to_thread(server.until, r"url=https://0.0.0.0:(\d+)", times=2))[1]
    listen = [
        "listen",
        sound,
        "--url",
        f"wss://127.0.0.1:{port}",
        "--model",
        "toy",
        "--json",
        "--ca",
        ours[0],
    ]
    code, out, shown = await asyncio.to_thread(listen_and_ps, *listen, "--token", text)
    assert code == 0
    assert json.loads(out.splitlines()[-1])["type"] == "end"
    assert "timbre listen" in shown
    code, _, _ = await asyncio.to_thread(run, *listen, TIMBRE_TOKEN=text)
    assert code == 0
    code, _, err = await asyncio.to_thread(run, *listen)
    assert (code, "API key is required" in err) == (4, True)
    code, _, err = await asyncio.to_thread(run, *listen[:-2], TIMBRE_TOKEN=text)
    assert (code, "not trusted" in err) == (3, True)
    async with aiohttp.ClientSession() as http:
        with pytest.raises(aiohttp.ClientError):
            await http.get(f"http://127.0.0.1:{port}/livez")
    assert await asyncio.to_thread(server.end) == 0
    assert PATTERN.fullmatch(text)[2] not in shown + "".join(server.log)


def test_serve_rejects_unreadable_keys(tmp_path, capsys):
    from service.cli.serve import main as serve

    assert serve(["--keys", str(tmp_path / "none.json")]) == 2
    assert "none.json" in capsys.readouterr().err
    assert serve(["--keys", "redis"]) == 2
    assert "Redis" in capsys.readouterr().err
