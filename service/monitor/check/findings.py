"""Says in words what is wrong with the sound of a source, and what to do. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from service.monitor.check.measure import Measured, Power, decibels

MAINS_HZ = (50, 60)
HARMONICS = 6
HUM_OVER_DB = 10.0
"""How far a harmonic of hum is over what is beside it."""
HUM_DB = -80.0
"""Level from which on hum is told: that of the quietest sound that is none."""
STEADY_S = 10.0
"""Seconds of sound from which on what is there all the time is told from a long note."""
WIND_HZ = 60
WIND_SHARE = 0.8
"""Share of all power that is below `WIND_HZ`."""
WIND_DB = -60.0
ONE_TONE = 0.5
"""Share of the power below `WIND_HZ` from which on it is a tone and no wind."""
NOISE_DB = -50.0
NOISE_FROM_HZ = 400
"""Below are hum and rumble."""
NOISE_EVEN = 0.9
"""How even the constant spectrum is in bands: 1 is noise, music is far below."""
NOISE_BAND_HZ = 100
NOISE_SMOOTH_HZ = 8
"""Hertz that are averaged first, so that few segments of noise are even too."""
QUIET_PEAK_DB = -50.0
LOWER_RATES = (8_000, 11_025, 12_000, 16_000)
"""Hertz from which sound is often converted, with a band narrower than that of the models."""
EDGE_DROP_DB = 25.0
"""How far the spectrum falls within a tenth at the edge of a converted sound."""
HERTZ_DB = -160.0
"""The lowest level of one hertz that is looked at: that of the steps of 16 bits is -141 dB."""
ADVICE = {
    "silence": "see whether it is connected, switched on and not muted, and whether the system"
    " lets programs use it",
    "clipping": "turn the gain down until the loudest sound peaks at -6 dB",
    "dc_offset": "use another input or sound card; a high-pass filter of 20 Hz removes it",
    "opposite_channels": "swap the wires of one channel, or record one channel only",
    "narrow_band": "record at 44,100 or 48,000 Hz; a headset on Bluetooth uses its telephone mode",
    "hum": "keep cable and microphone away from power supplies, use a balanced cable, and run"
    " recorder and computer from one socket or from a battery",
    "rumble": "put on a windscreen, decouple the stand from the floor, or switch on the low cut",
    "noise": "move it away from fans and motors; if the noise is its own, turn the gain of the"
    " first stage up and later ones down",
    "quiet": "turn the gain up until the loudest sound peaks near -6 dB, or go nearer",
    "gaps": "close other programs, or use another USB socket",
}
"""By kind of finding: what a person can do."""


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong."""

    kind: str
    detail: str
    """A sentence with its numbers."""
    hertz: tuple[float, ...] = ()
    """Where it is in the spectrum."""

    @property
    def todo(self) -> str:
        """What to do about it."""
        return ADVICE[self.kind]


def findings(measured: Measured) -> list[Finding]:
    """Return what is wrong, the most serious first. Silence has nothing else."""
    told = [Finding(each.kind, each.detail) for each in measured.doubts]
    if any(each.kind == "silence" for each in told):
        return [each for each in told if each.kind in {"silence", "dc_offset"}]
    hum = find_hum(measured)
    narrow = find_edge(measured)
    found = [each for each in told if not (narrow and each.kind == narrow.kind)]
    more = (narrow, hum, find_rumble(measured, hum), _noise(measured), _quiet(measured))
    return [*found, *(each for each in more if each), *_gaps(measured)]


def find_hum(measured: Measured) -> Finding | None:
    """Return hum: two or more harmonics of the mains that are there all the time."""
    if measured.seconds < STEADY_S:
        return None
    power, best = measured.constant, None
    for mains in MAINS_HZ:
        lines = [
            mains * number for number in range(1, HARMONICS + 1) if _is_line(power, mains * number)
        ]
        level = decibels(sum(float(power[line - 1 : line + 2].sum()) for line in lines))
        if len(lines) >= 2 and level >= HUM_DB and (best is None or level > best[0]):
            best = (level, mains, lines)
    if best is None:
        return None
    level, mains, lines = best
    where = ", ".join(map(str, lines))
    detail = f"hum of the mains ({mains} Hz) at {level:.0f} dB, all the time: at {where} Hz"
    return Finding("hum", detail, tuple(map(float, lines)))


def _is_line(power: Power, hertz: int) -> bool:
    """Return whether there is a narrow line at a frequency, and nowhere beside it."""
    beside = np.r_[power[hertz - 10 : hertz - 3], power[hertz + 4 : hertz + 11]]
    near = max(float(power[hertz - 2]), float(power[hertz + 2]))
    middle = float(power[hertz])
    return middle > near and decibels(middle) - decibels(float(np.median(beside))) >= HUM_OVER_DB


def find_rumble(measured: Measured, hum: Finding | None = None) -> Finding | None:
    """Return wind or rumble: nearly all power is very low, and is no tone."""
    power = measured.mean.copy()
    for line in hum.hertz if hum else ():
        power[round(line) - 2 : round(line) + 3] = 0
    low, total = power[2:WIND_HZ], float(power[2:].sum())
    if total <= 0 or decibels(float(low.sum())) < WIND_DB:
        return None
    share = float(low.sum()) / total
    peak = int(np.argmax(low))
    if share < WIND_SHARE or low[max(0, peak - 2) : peak + 3].sum() >= ONE_TONE * low.sum():
        return None
    detail = f"wind or rumble: {share:.0%} of the power is below {WIND_HZ} Hz"
    return Finding("rumble", detail, (WIND_HZ,))


def find_edge(measured: Measured) -> Finding | None:
    """Return that nothing is above half of a lower rate, where the spectrum falls at once."""
    power = measured.mean
    for rate in LOWER_RATES:
        edge = rate / 2
        if 1.2 * edge >= len(power):
            break
        below, above = (
            decibels(float(np.median(power[int(low * edge) : int(high * edge)])), lowest=HERTZ_DB)
            for low, high in ((0.8, 0.93), (1.07, 1.2))
        )
        rest = decibels(float(power[int(1.07 * edge) :].max()), lowest=HERTZ_DB)
        if below - above >= EDGE_DROP_DB and rest < below:
            detail = (
                f"nothing above {edge:,.0f} Hz: converted from {rate:,} Hz, though it comes at"
                f" {measured.sample_rate:,} Hz"
            )
            return Finding("narrow_band", detail, (edge,))
    return None


def _noise(measured: Measured) -> Finding | None:
    level = noise_level(measured)
    if measured.seconds < STEADY_S or level < NOISE_DB:
        return None
    if evenness(measured.constant) < NOISE_EVEN:
        return None
    detail = f"steady noise of {level:.0f} dB: what is quieter cannot be heard"
    return Finding("noise", detail)


def noise_level(measured: Measured) -> float:
    """Return the level in dB of what is constant above hum and rumble, without its tones."""
    hertz, power = measured.bands[:, 0], measured.bands[:, 2]
    # A median over neighbours knows no tone.
    near = np.lib.stride_tricks.sliding_window_view(np.pad(power, 4, "edge"), 9)
    return decibels(float(np.median(near, axis=1)[hertz > NOISE_FROM_HZ].sum()))


def evenness(power: Power) -> float:
    """Return the mean over bands of 100 Hz of geometric by arithmetic mean power, 0 to 1."""
    smooth = np.convolve(power, np.ones(NOISE_SMOOTH_HZ) / NOISE_SMOOTH_HZ, "valid")
    whole = smooth[2 * NOISE_BAND_HZ : len(smooth) // NOISE_BAND_HZ * NOISE_BAND_HZ]
    bands = whole.reshape(-1, NOISE_BAND_HZ) + 1e-30
    return float(np.mean(np.exp(np.log(bands).mean(axis=1)) / bands.mean(axis=1)))


def _quiet(measured: Measured) -> Finding | None:
    if measured.peak_db >= QUIET_PEAK_DB:
        return None
    return Finding("quiet", f"very quiet: the loudest sample is at {measured.peak_db:.0f} dB")


def _gaps(measured: Measured) -> Iterator[Finding]:
    if measured.gaps:
        yield Finding("gaps", f"the device lost sound, {measured.gaps} times")
