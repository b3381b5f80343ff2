import io
import struct
from itertools import pairwise

import numpy as np
import pytest
import soundfile
from numpy.testing import assert_allclose

from common.errors import InputError, UnsupportedMedia
from features.containers import flac, matroska, ogg
from features.containers.notes import Notes
from features.decode import decode_sound

RATE = 48_000
SOUND = 0.4 * np.sin(np.arange(3 * RATE) / 20)


def encode(kind, subtype=None):
    file = io.BytesIO()
    soundfile.write(file, SOUND, RATE, format=kind, subtype=subtype)
    return file.getvalue()


def size_of(size):
    return b"\x01" + size.to_bytes(7, "big")


UNKNOWN = b"\x01" + b"\xff" * 7


def element(name, body, size=None):
    head = name.to_bytes((name.bit_length() + 7) // 8, "big")
    return head + (size_of(len(body)) if size is None else size) + body


def opus_packets():
    data = encode("OGG", "OPUS")
    parts = list(ogg.packets(data, list(ogg._pages(data, Notes()))))
    return parts[0], parts[2:]


def block(packet, flags=0x80, track=1):
    return element(matroska.SIMPLE_BLOCK, bytes([0x80 | track, 0, 0, flags]) + packet)


def track(codec, private=b"", number=1, kind=2, more=b""):
    body = element(matroska.NUMBER, bytes([number])) + element(matroska.TYPE, bytes([kind]))
    body += element(matroska.CODEC, codec.encode()) + element(matroska.PRIVATE, private)
    return element(matroska.TRACK, body + more)


def audio(rate=RATE, channels=1, bits=16):
    body = element(matroska.RATE, struct.pack(">d", rate))
    body += element(matroska.CHANNELS, bytes([channels])) + element(matroska.BITS, bytes([bits]))
    return element(matroska.AUDIO, body)


def webm(tracks, blocks, size=UNKNOWN):
    """A file as browsers write it: segment and clusters of unknown size."""
    half = len(blocks) // 2
    clusters = b"".join(
        element(matroska.CLUSTER, element(0xE7, b"\0") + b"".join(part), size)
        for part in (blocks[:half], blocks[half:])
    )
    body = element(matroska.TRACKS, tracks) + clusters
    return element(matroska.EBML, element(0x4282, b"webm")) + element(matroska.SEGMENT, body, size)


@pytest.mark.parametrize("size", [UNKNOWN, None])
def test_opus_of_a_browser_is_read_as_the_same_opus_in_ogg(size):
    head, packets = opus_packets()
    data = webm(track("A_OPUS", head), [block(each) for each in packets], size)
    expected = decode_sound(encode("OGG", "OPUS")).samples
    found = decode_sound(data).samples
    assert 0 <= len(found) - len(expected) < 0.03 * 22_050
    assert_allclose(found[: len(expected) - 500], expected[:-500], atol=1e-4)


def vorbis_packets():
    data = encode("OGG", "VORBIS")
    parts = list(ogg.packets(data, list(ogg._pages(data, Notes()))))
    first, comments, setup, *packets = parts
    laces = b"".join(
        b"\xff" * (len(each) // 255) + bytes([len(each) % 255]) for each in (first, comments)
    )
    return b"\x02" + laces + first + comments + setup, packets


@pytest.mark.parametrize("size", [UNKNOWN, None])
def test_vorbis_is_read_as_the_same_vorbis_in_ogg(size):
    private, packets = vorbis_packets()
    data = webm(track("A_VORBIS", private), [block(each) for each in packets], size)
    expected = decode_sound(encode("OGG", "VORBIS"), sample_rate=RATE).samples
    found = decode_sound(data, sample_rate=RATE)
    assert found.warnings == ()
    assert 0 <= len(found.samples) - len(expected) < 2_048
    assert_allclose(found.samples[: len(expected)], expected, atol=1e-6)


def test_the_padding_of_vorbis_is_not_heard():
    private, packets = vorbis_packets()
    padding = element(matroska.PADDING, (500_000_000).to_bytes(4, "big"))
    blocks = [block(each) for each in packets]
    whole = decode_sound(webm(track("A_VORBIS", private), blocks)).seconds
    group = element(matroska.GROUP, element(matroska.BLOCK, b"\x81\0\0\0" + packets[-1]) + padding)
    found = decode_sound(webm(track("A_VORBIS", private), [*blocks[:-1], group])).seconds
    assert whole - found == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("private", [b"", b"\x02", b"\x02\x1e\x10" + bytes(90), b"\x02\xff\xff"])
def test_vorbis_without_its_headers_is_damaged(private):
    with pytest.raises(InputError, match="Vorbis headers"):
        decode_sound(webm(track("A_VORBIS", private), [block(b"x")]))


def lace(packets, kind):
    head = bytes([0x81, 0, 0, kind << 1, len(packets) - 1])
    if kind == 1:
        sizes = b"".join(
            b"\xff" * (len(each) // 255) + bytes([len(each) % 255]) for each in packets[:-1]
        )
    elif kind == 3:
        first = len(packets[0])
        sizes = (0x4000 | first).to_bytes(2, "big")
        for before, each in pairwise(packets[:-1]):
            sizes += (0x4000 | len(each) - len(before) + 8_191).to_bytes(2, "big")
    else:
        sizes = b""
    return element(matroska.SIMPLE_BLOCK, head + sizes + b"".join(packets))


@pytest.mark.parametrize("kind", [1, 3])
def test_packets_that_share_a_block_are_all_read(kind):
    head, packets = opus_packets()
    groups = [packets[at : at + 4] for at in range(0, len(packets), 4)]
    one = decode_sound(webm(track("A_OPUS", head), [block(each) for each in packets]))
    many = decode_sound(webm(track("A_OPUS", head), [lace(each, kind) for each in groups]))
    assert_allclose(many.samples, one.samples)


def test_packets_of_one_size_share_a_block():
    raw = np.round(SOUND * 32_767).astype("<i2").tobytes()
    packets = [raw[at : at + 960] for at in range(0, len(raw), 960)]
    groups = [packets[at : at + 5] for at in range(0, len(packets), 5)]
    found = decode_sound(
        webm(track("A_PCM/INT/LIT", more=audio()), [lace(each, 2) for each in groups]),
        sample_rate=RATE,
    )
    assert_allclose(found.samples, SOUND, atol=1e-4)


def test_flac_and_mp3_in_matroska_are_read():
    data = encode("FLAC")
    start = flac._audio_start(data)
    found = webm(track("A_FLAC", data[:start]), [block(data[start:])])
    assert_allclose(decode_sound(found).samples, decode_sound(data).samples)
    mp3 = encode("MP3")
    found = webm(track("A_MPEG/L3"), [block(mp3)])
    assert_allclose(decode_sound(found).samples, decode_sound(mp3).samples)


def test_the_sound_beside_a_picture_is_read():
    head, packets = opus_packets()
    tracks = track("V_VP8", number=1, kind=1) + track("A_OPUS", head, number=2)
    blocks = [block(each, track=2) for each in packets]
    blocks.insert(3, block(b"picture", track=1))
    assert decode_sound(webm(tracks, blocks)).seconds == pytest.approx(3, abs=0.05)


@pytest.mark.parametrize(("codec", "name"), [("A_AAC", "AAC"), ("A_X", "A_X")])
def test_a_codec_that_is_not_read_is_named(codec, name):
    with pytest.raises(UnsupportedMedia, match=name):
        decode_sound(webm(track(codec), [block(b"x")]))


def test_a_file_without_sound_is_named():
    with pytest.raises(UnsupportedMedia, match="without sound"):
        decode_sound(webm(track("V_VP8", kind=1), [block(b"x")]))


def test_a_file_that_is_cut_is_an_error_and_partial_reads_what_is_there():
    head, packets = opus_packets()
    data = webm(track("A_OPUS", head), [block(each) for each in packets])
    cut = data[: len(data) // 2]
    with pytest.raises(InputError, match="truncated"):
        decode_sound(cut)
    assert 1 < decode_sound(cut, partial=True).seconds < 2


def test_any_cut_and_any_flipped_byte_is_answered_or_an_input_error():
    head, packets = opus_packets()
    data = webm(track("A_OPUS", head), [lace(packets[:4], 3), block(packets[4])])
    rng = np.random.default_rng(0)
    for _ in range(300):
        hurt = bytearray(data[: rng.integers(1, len(data) + 1)])
        for place in rng.integers(0, min(len(hurt), 250), 2):
            hurt[place] = rng.integers(256)
        try:
            decode_sound(bytes(hurt), partial=True)
        except InputError:
            continue
