"""Sound files of every container, codec, rate and number of channels, whole and damaged."""

import io
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import soundfile

SECONDS = 1.5
FORMATS = ("WAV", "WAVEX", "RF64", "W64", "AIFF", "AU", "CAF", "FLAC", "OGG", "MP3")
ENDIAN = {"WAV": ("BIG",), "AIFF": ("LITTLE",), "AU": ("LITTLE",)}
RATES = (8_000, 22_050, 44_100, 48_000, 96_000)
TAG = b"ID3\x03\0\0\0\0\x01\x00" + bytes(128)
INDEXED = {
    "m4a-aac": ("aac", "m4a"), "m4a-alac": ("alac", "m4a"), "mp4-mp3": ("libmp3lame", "mp4"),
    "mov-pcm": ("pcm_s16le", "mov"), "3gp-aac": ("aac", "3gp"), "caf-alac": ("alac", "caf"),
    "mp4-opus": ("libopus", "mp4"), "mp4-flac": ("flac", "mp4"),
}  # fmt: skip
"""Files with an index, which needs a file that is no pipe."""
PICTURE = ("-f", "lavfi", "-i", "color=s=32x32:r=5:d=1.5")
FFMPEG = {
    "mp3": ("libmp3lame", "mp3"), "mp2": ("mp2", "mp2"), "flac": ("flac", "flac"),
    "ogg-flac": ("flac", "ogg"), "ogg-vorbis": ("libvorbis", "ogg"), "ogg-opus": ("libopus", "ogg"),
    "webm-opus": ("libopus", "webm"), "mka-flac": ("flac", "matroska"),
    "mka-pcm": ("pcm_s16le", "matroska"), "mka-mp3": ("libmp3lame", "matroska"),
    "wav": ("pcm_s16le", "wav"), "wav-24": ("pcm_s24le", "wav"), "wav-mp3": ("libmp3lame", "wav"),
    "aiff": ("pcm_s16be", "aiff"), "au": ("pcm_s16be", "au"), "w64": ("pcm_s16le", "w64"),
    "caf": ("pcm_s16be", "caf"), "aac": ("aac", "adts"), "wma": ("wmav2", "asf"),
    "webm-vorbis": ("libvorbis", "webm"), "wavpack": ("wavpack", "wv"), "tta": ("tta", "tta"),
    "wav-g722": ("g722", "wav"), "ac3": ("ac3", "ac3"), "mkv-aac": ("aac", "matroska"),
    "eac3": ("eac3", "eac3"), "mka-alac": ("alac", "matroska"), "mka-ac3": ("ac3", "matroska"),
    "ts-aac": ("aac", "mpegts"), "avi-mp3": ("libmp3lame", "avi"), "flv-aac": ("aac", "flv"),
    "dts": ("dca", "dts"),
}  # fmt: skip


@dataclass(frozen=True)
class File:
    """One file of the zoo."""

    kind: str
    name: str
    data: bytes
    seconds: float
    """Of sound that it holds."""
    slack: float = 0.08
    """Seconds by which encoders may be longer or shorter."""
    ffmpeg: bool = False
    """Whether ffmpeg may read it."""


def sound(rate, channels, seconds=SECONDS):
    """A chirp, other in each channel."""
    time = np.arange(round(seconds * rate)) / rate
    ways = [
        0.4 * np.sin(2 * np.pi * (150 + 60 * way + 200 * time) * time) for way in range(channels)
    ]
    return np.stack(ways, axis=1)


def encode(kind, subtype, rate, channels, endian=None, seconds=SECONDS):
    """A file by libsndfile; None if it does not make such."""
    file = io.BytesIO()
    try:
        samples = sound(rate, channels, seconds)
        soundfile.write(file, samples, rate, format=kind, subtype=subtype, endian=endian)
    except (soundfile.LibsndfileError, ValueError):
        return None
    return file.getvalue()


def plain(rates=RATES):
    """Every codec of every container, as it is."""
    for kind in FORMATS:
        for subtype, rate, channels in product(soundfile.available_subtypes(kind), rates, (1, 2)):
            for endian in (None, *ENDIAN.get(kind, ())):
                data = encode(kind, subtype, rate, channels, endian)
                if data:
                    name = f"{subtype} {rate} x{channels} {endian or ''}"
                    yield File(f"{kind}", name, data, SECONDS, slack=0.3)


def bases():
    """One file of each kind, to be damaged."""
    for kind in FORMATS:
        yield kind, encode(kind, None, 44_100, 2)
    yield "OPUS", encode("OGG", "OPUS", 48_000, 1)
    with io.BytesIO() as file:
        with soundfile.SoundFile(
            file, "w", 44_100, 1, format="MP3", bitrate_mode="VARIABLE"
        ) as out:
            out.write(sound(44_100, 1))
        data = file.getvalue()
    yield "MP3", data
    from features.containers.mpeg import frame_at

    yield "MP3 without tag", data[frame_at(data, 0).size :]


def damaged():
    """Files with something before, after, missing or twice."""
    for kind, data in bases():
        yield File(kind, "tag before", TAG + data, SECONDS)
        yield File(kind, "zeros after", data + bytes(3_000), SECONDS)
        yield File(kind, "tag after", data + b"TAG" + bytes(125), SECONDS)
        for share in (0.999, 0.9, 0.5, 0.1, 0.01):
            cut = data[: int(len(data) * share)]
            yield File(kind, f"cut at {share}", cut, SECONDS)
        if kind.startswith("MP3"):
            for count in (1, 1_000):
                yield File(kind, "zeros before", bytes(count) + data, SECONDS)
        if kind in ("OGG", "OPUS") or kind.startswith("MP3"):
            yield File(kind, "twice", data + data, 2 * SECONDS, slack=0.2)
        middle = len(data) // 2
        yield File(kind, "a hole", data[:middle] + bytes(2_000) + data[middle + 2_000 :], SECONDS)
        gone = data[:middle] + data[middle + 3_000 :]
        yield File(kind, "bytes gone", gone, SECONDS)


def length(data):
    """Seconds of sound by another decoder: what ffmpeg makes of a file."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        out = ("-map", "0:a:0", "-ac", "1", "-ar", "48000", "-f", "s16le", "-")
        command = [shutil.which("ffmpeg"), "-v", "quiet", "-i", file.name, *out]
        return len(subprocess.run(command, capture_output=True, check=False).stdout) / 2 / 48_000


def by_ffmpeg():
    """Files of ffmpeg, where it is installed, as long as it says itself."""
    program = shutil.which("ffmpeg")
    if not program:
        return
    begin = [program, "-v", "quiet", "-y", "-f", "wav", "-i", "-"]
    for rate in (16_000, 44_100, 48_000):
        sent = encode("WAV", "PCM_16", rate, 1)
        for name, (codec, form) in FFMPEG.items():
            command = [*begin, "-c:a", codec, "-strict", "-2", "-f", form, "-"]
            made = subprocess.run(command, input=sent, capture_output=True, check=False).stdout
            yield from told(f"ffmpeg {name}", f"{rate}", made)
        for name, (codec, suffix) in INDEXED.items():
            for more, video in ((name, ()), (f"{name} video", PICTURE)):
                with tempfile.NamedTemporaryFile(suffix=f".{suffix}") as file:
                    coded = ["-c:a", codec, "-c:v", "mpeg4", "-strict", "-2", file.name]
                    command = [*begin, *video, *coded]
                    subprocess.run(command, input=sent, capture_output=True, check=False)
                    yield from told(f"ffmpeg {more}", f"{rate}", Path(file.name).read_bytes())


def told(kind, name, made):
    """The file, if ffmpeg could make it."""
    if len(made) > 1_000 and (seconds := length(made)):
        yield File(kind, name, made, seconds, slack=0.1, ffmpeg=True)


def short():
    """One file of each codec and all damages: some seconds."""
    return [*plain((44_100,)), *damaged()]


def everything():
    """All files."""
    return [*plain(), *damaged(), *by_ffmpeg()]
