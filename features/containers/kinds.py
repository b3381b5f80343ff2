"""What kind of file bytes are: those that are read, and by name those that are not. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from common.errors import InputError, UnsupportedMedia
from features.containers import chunks, flac, matroska, mpeg, ogg
from features.containers.notes import Notes, Segment, id3_size

Reader: TypeAlias = Callable[[bytes, Notes], list[Segment]]

READ = ("WAV", "FLAC", "OGG", "MP3", "MP2", "AIFF", "AU", "CAF", "W64", "WebM")
SUFFIXES = (
    ".wav", ".wave", ".bwf", ".rf64", ".w64", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".mp2",
    ".aif", ".aiff", ".aifc", ".au", ".snd", ".caf", ".webm", ".mka", ".weba",
)  # fmt: skip
"""Of files that are read here."""
FFMPEG_SUFFIXES = (
    ".m4a", ".mp4", ".aac", ".3gp", ".amr", ".wma", ".mkv", ".mov", ".ape", ".wv",
    ".tta", ".mpc", ".ac3", ".dsf",
)  # fmt: skip
"""Of files of sound that the program ffmpeg reads."""


@dataclass(frozen=True)
class Kind:
    """A kind of file."""

    name: str
    reader: Reader | None = None
    """None: it is not read here."""
    demuxer: str = ""
    """What ffmpeg calls it."""


WAV = Kind("WAV", chunks.riff_segments, "wav")
FLAC = Kind("FLAC", flac.segments, "flac")
OGG = Kind("OGG", ogg.segments, "ogg")
MP3 = Kind("MP3", mpeg.segments, "mp3")
AIFF = Kind("AIFF", chunks.aiff_segments, "aiff")
AU = Kind("AU", chunks.au_segments, "au")
CAF = Kind("CAF", chunks.caf_segments, "caf")
W64 = Kind("W64", chunks.w64_segments, "w64")
WEBM = Kind("WebM or Matroska", matroska.segments, "matroska")
AAC = Kind("AAC (ADTS)", None, "aac")

_MAGIC = {
    b"fLaC": FLAC,
    b"OggS": OGG,
    b".snd": AU,
    b"dns.": AU,
    b"caff": CAF,
    b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\x00\x00": W64,
    b"\x1aE\xdf\xa3": WEBM,
    b"#!AMR": Kind("AMR", None, "amr"),
    b"\x30\x26\xb2\x75\x8e\x66\xcf\x11": Kind("WMA (ASF)", None, "asf"),
    b"MAC ": Kind("Monkey's Audio (APE)", None, "ape"),
    b"wvpk": Kind("WavPack", None, "wv"),
    b"TTA1": Kind("True Audio (TTA)", None, "tta"),
    b"MPCK": Kind("Musepack", None, "mpc8"),
    b"MP+": Kind("Musepack", None, "mpc"),
    b"DSD ": Kind("DSF", None, "dsf"),
    b"tBaK": Kind("TAK", None, "tak"),
    b".RMF": Kind("RealMedia", None, "rm"),
    b"\x0b\x77": Kind("AC-3", None, "ac3"),
    b"\x7f\xfe\x80\x01": Kind("DTS", None, "dts"),
    b"Creative Voice File": Kind("VOC", None, "voc"),
    b"FLV\x01": Kind("Flash video", None, "flv"),
}
_PACKET = 188
"""Bytes of a packet of a transport stream; each begins with a G."""
_NO_SOUND = {
    b"FRM8": "DSDIFF",
    b"ADIF": "AAC (ADIF)",
    b"MThd": "MIDI",
    b"\x1fC\xb6u": "part of a WebM without its beginning",
    b"PK\x03\x04": "ZIP",
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"Rar!": "RAR",
    b"%PDF": "PDF",
    b"\x89PNG": "PNG picture",
    b"\xff\xd8\xff": "JPEG picture",
    b"GIF8": "GIF picture",
    b"#EXTM3U": "playlist",
    b"[playlist]": "playlist",
    b"<?xml": "XML",
    b"<!DOC": "HTML",
    b"<html": "HTML",
    b"version https://git-lfs": "pointer of Git LFS",
    b"data:": "data URL",
}
_MAGIC |= {magic: Kind(name) for magic, name in _NO_SOUND.items()}
_FORMS = {
    b"WAVE": WAV,
    b"AIFF": AIFF,
    b"AIFC": AIFF,
    b"WEBP": Kind("WebP picture"),
    b"AVI ": Kind("AVI", None, "avi"),
    b"RMID": Kind("MIDI"),
    b"sfbk": Kind("sound font"),
    b"8SVX": Kind("IFF", None, "iff"),
}
"""By what stands behind RIFF, RF64, RIFX, FORM and their size."""


def sniff(data: bytes) -> Kind:
    """Return the kind of a file.

    Raises InputError when it is empty, UnsupportedMedia when it is of no known kind.
    """
    if not data:
        raise InputError("the file is empty")
    if kind := by_magic(data):
        return kind
    if mpeg.find(data, end=mpeg.LEAD) >= 0 or data[:3] == b"ID3":
        return MP3
    raise UnsupportedMedia(f"not a sound file of a supported kind ({', '.join(READ)})")


def without_tag(data: bytes) -> bytes:
    """Return a file without the ID3 tags before it."""
    at = 0
    while size := id3_size(data, at):
        at += size
    return data[at:] if at else data


def by_magic(data: bytes) -> Kind | None:
    """Return the kind that the first bytes state; None if they state none."""
    if data[:4] in (b"RIFF", b"RF64", b"RIFX", b"BW64", b"FORM"):
        return _FORMS.get(data[8:12])
    if data[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
        return Kind("M4A (MP4, QuickTime)", None, "mov")
    if kind := next((kind for magic, kind in _MAGIC.items() if data.startswith(magic)), None):
        return kind
    if len(data) > 2 * _PACKET and data[: 2 * _PACKET + 1 : _PACKET] == b"GGG":
        return Kind("MPEG transport stream", None, "mpegts")
    if len(data) > 1 and data[0] == 0xFF and data[1] & 0xF6 == 0xF0:
        return AAC
    return None


def refuse(kind: Kind, detail: str = "") -> UnsupportedMedia:
    """Return the error that names a kind which is not read, and the command that converts it."""
    name = f"this is {detail or kind.name}, which"
    advice = "; convert it: ffmpeg -i FILE sound.flac" if kind.demuxer else ""
    return UnsupportedMedia(
        f"{name} is not a sound file of a supported kind ({', '.join(READ)}){advice}"
    )
