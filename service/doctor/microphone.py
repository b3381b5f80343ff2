"""The input devices and the rates they open with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from common.errors import InputError
from service.doctor.finding import Finding, attention, good

RATES = (16_000, 22_050, 44_100, 48_000)


def check_microphone(load: Callable[[], Any]) -> Finding:
    """List the input devices and open the default one's rates. load: returns sounddevice.

    Only `timbre listen mic` needs one, so nothing here is bad.
    """
    needless = "only `timbre listen mic` needs one"
    try:
        sounddevice = load()
    except InputError as error:
        text = str(error).removeprefix("the microphone needs ")
        return attention("microphone", f"{text.partition(':')[0]} is missing; {needless}", text)
    try:
        devices = [each for each in sounddevice.query_devices() if each["max_input_channels"]]
        if not devices:
            todo = "connect one (containers: --device /dev/snd and the group audio)"
            return attention("microphone", f"no input device; {needless}", todo)
        default = sounddevice.query_devices(None, "input")
        rates = [rate for rate in RATES if _opens(sounddevice, rate)]
    except (ValueError, sounddevice.PortAudioError) as error:
        return attention("microphone", f"no default input device: {error}", "choose one: --device")
    names = ", ".join(str(each["name"]) for each in devices)
    found = f"{default['name']} at {', '.join(map(str, rates)) or 'no usual rate'}; of {names}"
    if not rates:
        return attention("microphone", found, "close what uses it, or choose another: --device")
    return good("microphone", found)


def _opens(sounddevice: Any, rate: int) -> bool:
    try:
        sounddevice.check_input_settings(samplerate=rate, channels=1)
    except (ValueError, sounddevice.PortAudioError):
        return False
    return True
