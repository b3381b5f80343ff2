"""Packets become an Ogg stream that every reader takes."""

import numpy as np
import pytest

from features.containers import ogg, remux
from features.containers.notes import Notes


def read(data):
    pages = list(ogg._pages(data, Notes()))
    return pages, list(ogg.packets(data, pages))


@pytest.mark.parametrize("size", [0, 1, 254, 255, 256, 65_024, 65_025, 65_026, 200_000])
def test_packets_of_any_size_come_out_as_they_went_in(size):
    rng = np.random.default_rng(size)
    packets = [(rng.bytes(each), 10 * index) for index, each in enumerate((3, size, 5, size, 7))]
    pages, found = read(remux.pages([b"first", b"second"], packets))
    assert found == [b"first", b"second", *(packet for packet, _ in packets)]
    assert [page.number for page in pages] == list(range(len(pages)))
    assert [page.flags & ogg.FIRST for page in pages] == [ogg.FIRST] + [0] * (len(pages) - 1)
    assert [page.flags & ogg.LAST for page in pages] == [0] * (len(pages) - 1) + [ogg.LAST]
    assert pages[-1].granule == 40


def test_pages_state_the_samples_up_to_the_last_packet_that_ends_in_them():
    pages, _ = read(remux.pages([b"first"], [(bytes(10), index) for index in range(101)]))
    assert [page.granule for page in pages] == [0, 49, 99, 100]
    pages, _ = read(remux.pages([b"first"], [(bytes(100_000), 7)]))
    assert [page.granule for page in pages] == [0, remux._NONE, 7]
    assert pages[2].flags == ogg.LAST | 1


def test_the_modes_of_vorbis_are_found_from_the_end():
    def setup(flags):
        value, width = 1, 6
        value = len(flags) - 1
        for index, flag in enumerate(flags):
            value |= (flag | index << 33) << width
            width += 41
        value |= 1 << width
        return b"\x05vorbis" + bytes([255] * 20) + value.to_bytes(width // 8 + 1, "little")

    for flags in ([0, 1], [1], [0, 1, 1, 0, 1]):
        assert remux._modes(setup(flags)) == flags


def test_the_samples_of_opus_packets_are_counted():
    samples = {0: 480, 3: 2_880, 12: 480, 13: 960, 16: 120, 19: 960, 31: 960}
    for config, expected in samples.items():
        assert remux.opus_samples(bytes([config << 3])) == expected
    assert remux.opus_samples(bytes([31 << 3 | 1])) == 1_920
    assert remux.opus_samples(bytes([31 << 3 | 3, 3])) == 2_880
    assert remux.opus_samples(b"") == 0
