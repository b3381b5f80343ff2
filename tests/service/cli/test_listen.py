"""`timbre listen` in a pipe, on a terminal, interrupted, and without a server."""

import asyncio
import fcntl
import json
import os
import signal
import struct
import subprocess
import sys
import termios
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from service.cli.listen import main
from tests.service.conftest import noise, tone, wav

ROOT = Path(__file__).parents[3]
COMMAND = [
    sys.executable,
    "-c",
    "import sys; from service.cli.listen import main; sys.exit(main(sys.argv[1:]))",
]


@pytest.fixture
def recording(tmp_path):
    """Two and a half seconds of a tone, then as much noise."""
    path = tmp_path / "tone-then-noise.wav"
    path.write_bytes(wav(np.concatenate([tone(2.5), noise(2.5)])))
    return path


async def run(*arguments, stop_after=None):
    """Run the command in a pipe; return exit code, lines of stdout, stderr."""
    process = await asyncio.create_subprocess_exec(
        *COMMAND, *map(str, arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT
    )
    lines = []
    async for line in process.stdout:
        lines.append(line.decode())
        if len(lines) == stop_after:
            process.send_signal(signal.SIGINT)
    errors = (await process.stderr.read()).decode()
    return await process.wait(), lines, errors


async def on_a_terminal(*arguments, columns=90, rows=24):
    """Run the command on a terminal of its own; return exit code and everything it showed."""
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    environment = {**os.environ, "TERM": "xterm-256color"}
    process = await asyncio.create_subprocess_exec(
        *COMMAND,
        *map(str, arguments),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        cwd=ROOT,
        env=environment,
    )
    os.close(theirs)
    shown = await asyncio.to_thread(_read_all, ours)
    return await process.wait(), shown.decode()


def _read_all(terminal):
    shown = b""
    with suppress(OSError):  # how Linux says that the other side is gone
        while data := os.read(terminal, 65_536):
            shown += data
    os.close(terminal)
    return shown


async def test_in_a_pipe_every_event_is_a_line_of_json_and_the_summary_is_out_of_the_way(
    serve, recording
):
    server = await serve()
    code, lines, errors = await run(recording, "--url", server.url, "--model", "toy")
    events = [json.loads(line) for line in lines]
    assert code == 0
    assert [event["type"] for event in events] == ["ready", *["window"] * 6, "end"]
    assert events[1]["labels"] == ["tone"]
    assert events[6]["labels"] == ["noise"]
    assert events[-1]["samples"] == 5 * 22_050
    assert errors.startswith("6 windows in 0:05, 0 dropped: ")


async def test_with_events_it_tells_those_of_the_same_file(serve, recording):
    server = await serve()
    code, lines, errors = await run(recording, "--url", server.url, "--model", "toy", "--events")
    told = [json.loads(line) for line in lines]
    events = [each for each in told if each["type"] == "event"]
    _, answer, _ = await server.post(
        "/v1/models/toy/classify?events=true&hop=0.5", data=recording.read_bytes()
    )
    ended = [each for each in events if each["state"] == "offset"]
    expected = [(each["label"], each["start"], each["end"]) for each in answer["events"]]
    assert code == 0
    assert sorted(expected) == sorted((e["label"], e["start"], e["end"]) for e in ended)
    assert {label for label, *_ in expected} == {"tone", "noise"}
    assert {each["id"] for each in events if each["state"] == "onset"} == {e["id"] for e in ended}
    assert errors.endswith("; 2 events\n")


async def test_on_a_terminal_it_draws_and_keeps_the_last_view_and_a_picture(
    serve, recording, tmp_path
):
    server = await serve()
    picture = tmp_path / "view.svg"
    code, shown = await on_a_terminal(
        recording, "--url", server.url, "--model", "toy", "--picture", picture
    )
    assert code == 0
    during, after = shown.split("\x1b[?1049l")
    assert "\x1b[?1049h" in during
    assert during.count("windows") > 10
    assert "tone" in after
    assert "ended" in after
    assert "6 windows in 0:05" in after.splitlines()[-1]
    assert "tone-then-noise.wav" in picture.read_text()


async def test_ctrl_c_ends_it_with_the_results_so_far(serve, recording):
    server = await serve()
    code, lines, errors = await run(recording, "--url", server.url, "--model", "toy", stop_after=3)
    assert code == 0
    assert json.loads(lines[-1])["type"] == "end"
    assert errors.startswith("2 windows in 0:0")
    assert "Traceback" not in errors


async def test_without_a_server_it_exits_with_3(recording, unused_tcp_port):
    code, lines, errors = await run(recording, "--url", f"ws://127.0.0.1:{unused_tcp_port}")
    assert (code, lines) == (3, [])
    assert errors == (
        f"timbre listen: cannot reach http://127.0.0.1:{unused_tcp_port} (connection refused): "
        "is `timbre serve` running?\n"
    )


async def test_a_rejection_exits_with_4_and_the_servers_reason(serve, recording):
    server = await serve()
    code, _, errors = await run(recording, "--url", server.url, "--model", "tuba")
    assert code == 4
    assert "toy" in errors
    assert errors.count("\n") == 1


@pytest.mark.parametrize("source", ["none.wav", __file__])
def test_an_invalid_source_exits_with_4(source, capsys):
    assert main([source]) == 4
    assert source in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["mic", "--hop", "often"], ["mic", "--loud"]])
def test_invalid_arguments_exit_with_2(arguments):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2


def test_help_is_quick_because_nothing_heavy_is_loaded():
    code = (
        "import sys; from service.cli.listen import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "print(*sorted(sys.modules), file=sys.stderr)"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    ).stderr
    assert not {"numpy", "aiohttp", "rich", "soundfile", "sounddevice"} & set(loaded.split())
