"""Input devices, by a double of sounddevice: no test machine has one."""

import pytest

from common.errors import InputError
from service.doctor.microphone import check_microphone
from service.sources.microphone import load

MICROPHONE = {"name": "USB Audio", "max_input_channels": 1}
SPEAKER = {"name": "HDMI", "max_input_channels": 0}


class Devices:
    """sounddevice with these devices, which open at these rates."""

    class PortAudioError(Exception):
        pass

    def __init__(self, *devices, rates=(48_000,), default=True):
        self.devices, self.rates, self.default = devices, rates, default

    def query_devices(self, device="all", kind=None):
        if kind is None:
            return self.devices
        if not self.default:
            raise self.PortAudioError("Error querying device -1")
        return next(each for each in self.devices if each["max_input_channels"])

    def check_input_settings(self, *, samplerate, channels):
        if samplerate not in self.rates:
            raise self.PortAudioError("Invalid sample rate")


def test_a_microphone_is_shown_with_the_rates_it_opens_with():
    finding = check_microphone(lambda: Devices(SPEAKER, MICROPHONE, rates=(44_100, 48_000)))
    assert finding.state == "good"
    assert finding.found == "USB Audio at 44100, 48000; of USB Audio"


@pytest.mark.parametrize(
    ("devices", "found"),
    [
        (Devices(SPEAKER), "no input device"),
        (Devices(MICROPHONE, default=False), "no default input device"),
        (Devices(MICROPHONE, rates=()), "no usual rate"),
    ],
)
def test_without_a_device_that_opens_it_needs_attention(devices, found):
    finding = check_microphone(lambda: devices)
    assert finding.state == "attention"
    assert found in finding.found
    assert finding.todo


@pytest.mark.parametrize(
    "missing",
    ["the package sounddevice: pip install 'timbre[mic]'", "the library PortAudio: apt-get ..."],
)
def test_what_is_missing_is_named_with_its_command(missing):
    def broken():
        raise InputError(f"the microphone needs {missing}")

    finding = check_microphone(broken)
    assert finding.state == "attention"
    assert finding.found.startswith(missing.partition(":")[0])
    assert finding.todo == missing


def test_the_real_library_is_asked_or_its_want_is_said():
    assert check_microphone(load).check == "microphone"
