"""The microphone against stand-ins for the package: no test machine has a device."""

import sys
import threading
import time
from contextlib import aclosing

import numpy as np
import pytest

from common.errors import InputError
from service.cli.microphone import Microphone

PACKAGE = """
class PortAudioError(Exception):
    pass
DEVICES = [{"name": "Speakers", "max_input_channels": 0, "default_samplerate": 48000.0}]
def query_devices(device=None, kind=None):
    if kind is None:
        return DEVICES
    for each in DEVICES:
        if each["max_input_channels"] and device in (None, each["name"]):
            return each
    if device:
        raise ValueError(f"No device {device!r}")
    raise PortAudioError("Error querying device -1")
"""


@pytest.fixture
def sounddevice(tmp_path, monkeypatch):
    """Write the package that `import sounddevice` finds."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)

    def write(code):
        (tmp_path / "sounddevice.py").write_text(code)

    yield write
    sys.modules.pop("sounddevice", None)


def test_without_the_package_the_error_names_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(InputError, match=r"pip install 'timbre\[mic\]'"):
        Microphone()


def test_without_portaudio_the_error_names_what_to_install(sounddevice):
    sounddevice("raise OSError('PortAudio library not found')")
    with pytest.raises(InputError, match="apt-get install libportaudio2"):
        Microphone()


def test_without_a_device_the_error_is_one_line(sounddevice):
    sounddevice(PACKAGE)
    with pytest.raises(
        InputError, match=r"no microphone .*connect one, or use a sound file"
    ) as refused:
        Microphone()
    assert "\n" not in str(refused.value)


def test_an_unknown_device_is_rejected_with_the_list_of_devices(sounddevice):
    sounddevice(
        PACKAGE
        + "DEVICES.append({'name': 'USB', 'max_input_channels': 1, 'default_samplerate': 16000.0})"
    )
    assert Microphone().sample_rate == 16_000
    assert Microphone("USB").sample_rate == 16_000
    with pytest.raises(InputError, match="choose one with --device: 1 USB"):
        Microphone("Webcam")


class Flags:
    """PortAudio's flags of a block."""

    def __init__(self, *, overflow):
        self.input_overflow = overflow


class InputStream:
    """Calls back from a thread of its own and reuses one buffer, as PortAudio does."""

    def __init__(self, *, callback, blocksize, **settings):
        self.settings, self.callback, self.buffer = (
            settings,
            callback,
            np.zeros((blocksize, 1), np.float32),
        )
        self.over = threading.Event()

    def __enter__(self):
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()

    def run(self):
        for index in range(4):
            self.buffer[:] = index
            self.callback(self.buffer, len(self.buffer), None, Flags(overflow=index == 2))
        while not self.over.is_set():
            time.sleep(0.001)


async def test_blocks_come_as_they_are_captured_and_overflows_with_them(sounddevice):
    sounddevice(
        PACKAGE
        + "DEVICES.append({'name': 'USB', 'max_input_channels': 1, 'default_samplerate': 16000.0})"
    )
    microphone = Microphone()
    sys.modules["sounddevice"].InputStream = InputStream
    got = []
    async with aclosing(microphone.chunks()) as chunks:
        async for samples, lost in chunks:
            got.append((samples.shape, float(samples[0]), lost))
            if len(got) == 4:
                break
    assert got == [((800,), float(index), index == 2) for index in range(4)]
