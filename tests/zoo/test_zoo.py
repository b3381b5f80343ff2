"""No file of any kind, whole or damaged, loses sound without a word."""

import pytest

from tests.zoo.files import File, encode, short
from tests.zoo.run import outcome, table


def test_no_sound_is_lost_without_a_word_and_every_whole_file_is_read():
    files = short()
    counts, bad = table(files)
    assert bad == []
    assert len(files) > 150
    assert min(count["right"] for count in counts.values()) >= 3


@pytest.mark.parametrize(("seconds", "expected"), [(1.5, "right"), (1.0, "LOST"), (2.0, "LOST")])
def test_the_count_sees_what_is_lost(seconds, expected):
    assert outcome(File("WAV", "", encode("WAV", None, 8_000, 1), seconds)) == expected
