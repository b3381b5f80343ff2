"""The microphone against stand-ins for the package: no test machine has a device."""

import sys
import threading
import time
from contextlib import aclosing

import numpy as np
import pytest

from common.errors import InputError
from service.sources import microphone as module
from service.sources.microphone import Microphone

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


async def taken(microphone, count):
    got = []
    async with aclosing(microphone.chunks()) as chunks:
        async for samples, _ in chunks:
            got.append(samples)
            if len(got) == count:
                break
    return got


def device(rate, channels):
    return PACKAGE + (
        f"DEVICES.append({{'name': 'USB', 'max_input_channels': {channels},"
        f" 'default_samplerate': {rate}.0}})"
    )


def only_with(**needed):
    """An InputStream that other settings than these do not open; channel 1 is the louder one."""

    class Picky(InputStream):
        def __init__(self, *, callback, blocksize, **settings):
            if any(settings[name] != value for name, value in needed.items()):
                raise sys.modules["sounddevice"].PortAudioError("Invalid number of channels")
            super().__init__(callback=callback, blocksize=blocksize, **settings)
            self.buffer = np.zeros((blocksize, settings["channels"]), np.float32)

        def run(self):
            for _ in range(4):
                self.buffer[:, -1] = 0.5
                self.callback(self.buffer, len(self.buffer), None, Flags(overflow=False))
            while not self.over.is_set():
                time.sleep(0.001)

    return Picky


async def test_of_two_channels_about_as_loud_one_is_kept(sounddevice):
    sounddevice(device(48_000, 2))
    microphone = Microphone()

    class Turns(only_with(channels=2)):
        def run(self):
            for at in range(6):
                self.buffer[:, at % 2], self.buffer[:, 1 - at % 2] = 0.5, 0.45
                self.buffer[0, 0], self.buffer[0, 1] = 0.1, 0.2  # tells them apart
                self.callback(self.buffer, len(self.buffer), None, Flags(overflow=False))
            self.buffer[:] = 0.1, 0.5
            self.callback(self.buffer, len(self.buffer), None, Flags(overflow=False))
            while not self.over.is_set():
                time.sleep(0.001)

    sys.modules["sounddevice"].InputStream = Turns
    *kept, changed = await taken(microphone, 7)
    assert [float(each[0]) for each in kept] == [pytest.approx(0.1)] * 6
    assert float(changed[0]) == 0.5


async def test_a_device_that_opens_only_in_stereo_is_heard_by_its_louder_channel(sounddevice):
    sounddevice(device(48_000, 2))
    microphone = Microphone()
    sys.modules["sounddevice"].InputStream = only_with(channels=2)
    blocks = await taken(microphone, 4)
    assert microphone.channels == 1
    assert all(block.tolist() == [0.5] * 2_400 for block in blocks)


async def test_a_device_that_opens_only_at_384_khz_is_resampled_to_what_streams_may_have(
    sounddevice,
):
    sounddevice(device(384_000, 1))
    microphone = Microphone()
    sys.modules["sounddevice"].InputStream = only_with(samplerate=384_000)
    samples = np.concatenate(await taken(microphone, 4))
    assert microphone.sample_rate == 192_000
    assert 0 <= 4 * 9_600 - len(samples) < 9_600
    assert samples[2_000:-2_000] == pytest.approx(0.5, abs=0.01)


async def test_a_device_that_opens_in_no_way_is_an_error_with_its_first_reason(sounddevice):
    sounddevice(device(48_000, 2))
    microphone = Microphone()
    sys.modules["sounddevice"].InputStream = only_with(channels=3)
    with pytest.raises(InputError, match="cannot be opened: Invalid number of channels"):
        await taken(microphone, 1)


async def test_a_device_that_gives_no_more_sound_is_an_error(sounddevice, monkeypatch):
    sounddevice(device(48_000, 1))
    monkeypatch.setattr(module, "STALLED_S", 0.05)
    microphone = Microphone()
    sys.modules["sounddevice"].InputStream = only_with(channels=1)
    with pytest.raises(InputError, match="was it unplugged"):
        await taken(microphone, 5)
