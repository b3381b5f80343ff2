"""What bytes are that are no picture of a kind that is read, as a hint in an error. Pure."""

from __future__ import annotations

import re

_SOUND = "this is sound, and the model takes pictures"
_FOREIGN = {
    rb"\s*data:": "a data: URI is not: decode the base64 behind its comma, and send the bytes",
    rb"\s*\"[\w+/]|\s*[{\[]\s*[\"'{\[\]}\d-]": (
        "JSON is not: send the bytes of the file as the body, or a form"
    ),
    rb"--[^\r\n]{1,200}\r?\n[Cc]ontent-": (
        "this is a form: send it with its Content-Type, multipart/form-data with the boundary"
    ),
    rb"\s*<": "HTML, XML and SVG are not",
    rb"%PDF": "PDF is not",
    rb"(?s)RIFF....(?:WAVE|RMID)": _SOUND,
    rb"(?s)ID3|fLaC|OggS|FORM....AIF|\xff[\xf2-\xfb]": _SOUND,
    rb"RIFF": "a RIFF file is, if it is WebP",
    rb"\xff\x0a|\x00\x00\x00\x0cJXL ": "JPEG XL is not",
    rb"\x00\x00\x00\x0cjP  |\xff\x4f\xff\x51": "JPEG 2000 is not",
    rb"(?s)....ftypcrx ": "raw files of cameras are not",
    rb"(?s)....ftyp|\x1aE\xdf\xa3": "MP4, WebM and other films are not",
    rb"II\+\x00|MM\x00\+": "BigTIFF is not",
    rb"\x00\x00[\x01\x02]\x00": "ICO and CUR are not",
    rb"8BP[SB]": "PSD is not",
    rb"PK\x03\x04": "ZIP is not",
    rb"\x1f\x8b|BZh|\xfd7zXZ|\x28\xb5\x2f\xfd": "a compressed file is not",
    rb"%!PS|\xc5\xd0\xd3\xc6": "PostScript is not",
    rb"DDS ": "DDS is not",
    rb"P[1-7fF]\s": "PNM (PBM, PGM, PPM) is not",
    rb"\x93NUMPY": "NumPy files are not",
    rb"version https://git-lfs": "this is a pointer of Git LFS: run git lfs pull",
    rb"[\w.-]{1,64}=": "a form of text is not: send the bytes of the file, or multipart/form-data",
}
"""By a pattern of the first bytes, in this order."""
_BASE64 = re.compile(rb"\s*[A-Za-z0-9+/_-]{32,}[A-Za-z0-9+/_=\s-]*\Z")
_SEEN = 4_096
"""Bytes that are searched for base64."""
_STRIPPED = 1_000
"""Bytes without one of three values: of a picture, by chance, one of 100,000 files."""
STRIPPED = (
    "line ends and zeros were taken out of this file, as curl -d @FILE does: use "
    "curl --data-binary @FILE, or -F file=@FILE"
)


def hint(data: bytes) -> str:
    """Return what these bytes are, and what to do, behind a semicolon; or ""."""
    if _BASE64.match(data[:_SEEN]):
        return "; this looks like base64: decode it, and send the bytes"
    head = data[:512]
    return next((f"; {text}" for start, text in _FOREIGN.items() if re.match(start, head)), "")


def is_stripped(data: bytes) -> bool:
    """Return whether a file of bytes has no line ends and no zeros."""
    if len(data) < _STRIPPED or data[:512].isascii():
        return False
    return not any(byte in data for byte in (b"\0", b"\r", b"\n"))
