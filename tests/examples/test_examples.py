"""Every program in examples/ runs against a real server."""

import csv
import os
import subprocess
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
import soundfile

from tests.helpers.browser import opened
from tests.helpers.server_process import ROOT, server_process

EXAMPLES = ROOT / "examples"
# An input device that plays tone.wav once, block by block, and then is quiet.
DEVICE = """
import threading
import soundfile

class PortAudioError(Exception):
    pass

def query_devices(device, kind):
    return {"default_samplerate": float(soundfile.info("tone.wav").samplerate)}

class InputStream:
    def __init__(self, rate, blocksize, device, channels, callback):
        self.play = lambda: [callback(block, blocksize, None, None) for block in blocks(blocksize)]
    def __enter__(self):
        threading.Thread(target=self.play, daemon=True).start()
    def __exit__(self, *_):
        pass

def blocks(size):
    return soundfile.blocks("tone.wav", size, dtype="float32", always_2d=True)
"""
NO_DEVICE = """
class PortAudioError(Exception):
    pass

def query_devices(device, kind):
    raise PortAudioError("Error querying device -1")
"""


class Handler(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def page():
    """The address of the repository as a web site."""
    handler = partial(Handler, directory=ROOT)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as site:
        threading.Thread(target=site.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{site.server_port}"
        site.shutdown()


@pytest.fixture(scope="module")
def server(page):
    """The address of a server that accepts streams of that site."""
    with server_process("--set", f"allowed_origins={page}") as address:
        yield address


@pytest.fixture
def sound(tmp_path):
    """The first three seconds of the example recording, a flute, as tone.wav."""
    samples, rate = soundfile.read(EXAMPLES / "quartet.ogg", dtype="float32")
    path = tmp_path / "tone.wav"
    soundfile.write(path, samples[: 3 * rate], rate, subtype="PCM_16")
    return path


def command(name, *arguments):
    return [sys.executable, str(EXAMPLES / name), *map(str, arguments)]


def run(name, *arguments, cwd=ROOT, **environment):
    """Run a program to its end; return its exit code and both of its outputs."""
    answer = subprocess.run(
        command(name, *arguments),
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        env={**os.environ, **environment},
    )
    return answer.returncode, answer.stdout, answer.stderr


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")) + sorted(EXAMPLES.glob("*.html")))
def test_a_program_is_one_screen_of_short_lines(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 40
    assert max(map(len, lines)) <= 100


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_a_program_says_what_it_does(path):
    code, out, _ = run(path.name, "--help")
    assert code == 0
    assert "usage: " in out


def test_stream_file_prints_every_window(server, sound):
    code, out, err = run("stream_file.py", sound, "--url", server)
    assert code == 0, err
    assert "Ready(" in out
    assert out.count("s  flute") == 2
    assert "windows=2, dropped=0" in out


def test_stream_microphone_prints_every_window(server, sound):
    (sound.parent / "sounddevice.py").write_text(DEVICE, encoding="utf-8")
    process = subprocess.Popen(
        command("stream_microphone.py", "--url", server),
        stdout=subprocess.PIPE,
        text=True,
        cwd=sound.parent,
        env={**os.environ, "PYTHONPATH": str(sound.parent)},
    )
    with process:
        assert "Ready(" in process.stdout.readline()
        assert any("flute" in line for line in process.stdout)
        process.terminate()


def test_stream_microphone_without_a_device_says_so_in_one_line(server, tmp_path):
    (tmp_path / "sounddevice.py").write_text(NO_DEVICE, encoding="utf-8")
    code, _, err = run("stream_microphone.py", "--url", server, PYTHONPATH=str(tmp_path))
    assert (code, err) == (1, "no microphone: Error querying device -1\n")


def test_classify_folder_prints_a_row_per_file(server, sound):
    (sound.parent / "notes.txt").write_text("not a sound", encoding="utf-8")
    code, out, err = run("classify_folder.py", sound.parent, "--url", server)
    assert code == 0, err
    header, text, flute = csv.reader(out.splitlines())
    assert header == ["file", "labels", "error"]
    assert text[:2] == [str(sound.parent / "notes.txt"), ""]
    assert text[2]
    assert (flute[0], flute[1].split()[0], flute[2]) == (str(sound), "flute", "")


def test_classify_folder_takes_pictures(server, tmp_path):
    (tmp_path / "flag.png").write_bytes((EXAMPLES / "flag.png").read_bytes())
    code, out, err = run("classify_folder.py", tmp_path, "--url", server, "--model", "clip-art")
    assert code == 0, err
    assert out.endswith("flag.png,flags,\n")


def test_load_and_export_model_writes_scores_and_the_graph(tmp_path):
    code, _, err = run("load_and_export_model.py", EXAMPLES / "quartet.ogg", tmp_path / "out")
    assert code == 0, err
    labels, *rows = csv.reader((tmp_path / "out" / "scores.csv").read_text().splitlines())
    assert len(rows) == 10
    assert max(zip(map(float, rows[0]), labels, strict=True))[1] == "flute"
    assert (tmp_path / "out" / "model.onnx").stat().st_size > 100_000


@pytest.mark.slow  # needs a browser
async def test_the_page_streams_the_microphone(page, server, sound):
    address = f"{page}/examples/microphone.html?url={server}"
    flags = (
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-audio-capture={sound}",
        "--autoplay-policy=no-user-gesture-required",
    )
    async with opened(address, *flags) as tab:
        await tab.until("document.querySelector('button')?.onclick != null")
        await tab.run("document.querySelector('button').click()")
        assert await tab.until("document.body.innerText.includes(' s: flute')")
        assert await tab.run("document.body.innerText.includes('11 labels')")
        assert not await tab.run("document.body.innerText.includes('again in')")
