"""Sounds with one fault each, of 12 s, float32."""

import numpy as np

from features.decode import decode_sound
from service.monitor.check.measure import Measurement

RATE = 24_000
SECONDS = 12
TIME = np.arange(SECONDS * RATE) / RATE
NOISE = np.random.default_rng(1).standard_normal(len(TIME))
"""White, 0 dB."""


def db(level):
    """The amplitude of a level."""
    return 10 ** (level / 20)


def room(*, level=-60.0):
    """The noise of a room with a note every 3 s."""
    return db(level) * NOISE + 0.1 * np.sin(2 * np.pi * 440 * TIME) * (TIME % 3 < 1)


def hum(mains, *, level, numbers=(1, 2, 3)):
    """Hum whose first harmonic has this level."""
    waves = [np.sin(2 * np.pi * mains * number * TIME) / number for number in numbers]
    return db(level + 3) * np.sum(waves, axis=0)


def low_passed(sound, hertz):
    """A sound without what is above a frequency."""
    spectrum = np.fft.rfft(sound)
    spectrum[round(hertz * SECONDS) :] = 0
    return np.fft.irfft(spectrum)


def wind(*, level):
    """Noise below 40 Hz."""
    low = low_passed(NOISE, 40)
    return low / np.sqrt(np.mean(low**2)) * db(level)


def measured(sound, *, rate=RATE, chunk=2_205):
    """What is measured of a sound that comes in chunks, shape (n,) or (n, channels)."""
    channels = 1 if sound.ndim == 1 else sound.shape[1]
    measurement = Measurement(sample_rate=rate, channels=channels)
    for at in range(0, len(sound), chunk):
        measurement.feed(sound[at : at + chunk].astype(np.float32))
    return measurement.finish()


def recording(path):
    """What is measured of a file."""
    return measured(decode_sound(path.read_bytes(), sample_rate=RATE, partial=True).samples)
