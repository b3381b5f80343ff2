"""The notes of Gravis UltraSound patches, as Debian's freepats has them."""

import struct

import numpy as np
import pytest

from tools.freepats_notes import BOTH_WAYS, LOOPED, MAGIC, SECONDS, UNSIGNED, WIDE, notes

RATE = 8000


def patch(*samples):
    """The bytes of a patch of (raw bytes, modes, loop in bytes, hertz)."""
    head = bytearray(129 + 63 + 47)
    head[: len(MAGIC)] = MAGIC
    head[129 + 63 + 6] = len(samples)
    content = bytes(head)
    for raw, modes, (begin, end), hertz in samples:
        one = bytearray(96)
        struct.pack_into("<3I", one, 8, len(raw), begin, end)
        struct.pack_into("<H", one, 20, RATE)
        struct.pack_into("<3I", one, 22, 0, 0, round(1000 * hertz))
        one[55] = modes
        content += bytes(one) + raw
    return content


RAMP = np.linspace(-0.5, 0.5, 400)
FORMS = {
    WIDE: (RAMP * 32768).astype("<i2"),
    WIDE | UNSIGNED: (RAMP * 32768 + 32768).astype("<u2"),
    0: (RAMP * 128).astype("i1"),
    UNSIGNED: (RAMP * 128 + 128).astype("u1"),
}


@pytest.mark.parametrize("modes", FORMS)
def test_samples_of_every_form_are_read_with_rate_and_pitch(modes):
    content = patch((FORMS[modes].tobytes(), modes, (0, 0), 440), (b"\0\0", modes, (0, 0), 220))
    first, second = notes(content, fades=False)
    np.testing.assert_allclose(first.samples, RAMP, atol=1 / 64)
    assert (first.rate, first.pitch, second.pitch) == (RATE, pytest.approx(69), pytest.approx(57))


@pytest.mark.parametrize(("modes", "turns"), [(0, (1, 1)), (BOTH_WAYS, (1, -1))])
def test_a_loop_is_played_on_forwards_or_to_and_fro_and_fades_out(modes, turns):
    raw = FORMS[WIDE].tobytes()
    (note,) = notes(patch((raw, WIDE | LOOPED | modes, (400, 800), 440)), fades=False)
    assert len(note.samples) == SECONDS * RATE
    loop = np.float32(FORMS[WIDE][200:400]) / 32768
    for number, turn in enumerate(turns):
        begin = 400 + 200 * number
        np.testing.assert_allclose(note.samples[begin : begin + 200], loop[::turn], atol=1e-6)
    assert note.samples[-1] == 0


def test_what_fades_is_quieter_and_the_rest_is_not():
    raw = FORMS[WIDE].tobytes()
    content = patch((raw, WIDE | LOOPED, (400, 800), 440))
    held, faded = (next(notes(content, fades=fades)).samples for fades in (False, True))
    np.testing.assert_array_equal(held[:400], faded[:400])
    assert np.abs(faded[RATE:]).max() < np.abs(held[RATE:]).max() / 4


@pytest.mark.parametrize("short", [1, 500, 890])
def test_bytes_that_are_no_patch_or_end_early_are_told(short):
    content = patch((FORMS[WIDE].tobytes(), WIDE, (0, 0), 440))
    with pytest.raises(ValueError, match="no patch"):
        list(notes(b"RIFF" + content, fades=False))
    with pytest.raises(ValueError, match="ends within"):
        list(notes(content[:-short], fades=False))
