"""Whose samples a program of a sound font plays, pitch by pitch."""

import struct

import pytest

from training.notes.render import families, usable_labels
from training.notes.soundfont import mislabelled_programs, own_pitches

KEYS, INSTRUMENT, SAMPLE = 43, 41, 53


def chunk(name, content):
    return name + struct.pack("<I", len(content)) + content


def write_font(path, programs):
    """Write the headers of a font of {program: [(sample, lowest key, highest key), ...]}."""
    samples = sorted({name for zones in programs.values() for name, _, _ in zones})
    phdr = inst = shdr = b""
    pbag, pgen, ibag, igen = [], [], [], []
    for number, (program, zones) in enumerate(sorted(programs.items())):
        phdr += struct.pack("<20s3H12x", b"p", program, 0, len(pbag))
        pbag.append(len(pgen))
        pgen.append((INSTRUMENT, number))
        inst += struct.pack("<20sH", b"i", len(ibag))
        for name, low, high in zones:
            ibag.append(len(igen))
            igen += [(KEYS, low | high << 8), (SAMPLE, samples.index(name))]
    phdr += struct.pack("<20s3H12x", b"EOP", 0, 0, len(pbag))
    inst += struct.pack("<20sH", b"EOI", len(ibag))
    for name in [*samples, "EOS"]:
        shdr += struct.pack("<20s26x", name.encode())
    tables = {"phdr": phdr, "inst": inst, "shdr": shdr}
    for prefix, bags, generators in (("p", pbag, pgen), ("i", ibag, igen)):
        starts = [*bags, len(generators)]
        tables[f"{prefix}bag"] = b"".join(struct.pack("<HH", at, 0) for at in starts)
        tables[f"{prefix}gen"] = b"".join(struct.pack("<HH", *one) for one in generators)
    parts = b"pdta" + b"".join(chunk(n.encode(), c) for n, c in tables.items())
    path.write_bytes(chunk(b"RIFF", b"sfbk" + chunk(b"LIST", parts)))
    return path


CONTRABASS, CELLO, VIOLIN = 43, 42, 40


@pytest.fixture
def font(tmp_path):
    """A contrabass that becomes a cello above D3, and a violin with a gap."""
    zones = {
        CONTRABASS: [("Double Bass A1", 20, 45), ("Double Bass D3", 46, 50), ("Cello E4", 51, 90)],
        VIOLIN: [("Violin A3", 50, 60), ("Violin A5", 63, 100)],
    }
    return write_font(tmp_path / "font.sf2", zones)


def test_pitches_that_another_instruments_samples_play_are_not_its_own(font):
    assert own_pitches(font, "contrabass") == list(range(28, 51))
    assert usable_labels(font) == ["contrabass", "violin"]


def test_pitches_that_nothing_plays_are_not_its_own(font):
    assert own_pitches(font, "violin") == [*range(55, 61), *range(63, 99)]
    assert own_pitches(font, "cello") == []


def test_where_both_play_the_pitch_is_its_own(tmp_path):
    zones = {CONTRABASS: [("Double Bass", 20, 45), ("Cello", 40, 64)]}
    font = write_font(tmp_path / "both.sf2", zones)
    assert own_pitches(font, "contrabass") == list(range(28, 46))


def test_a_program_of_half_foreign_samples_is_none_of_its_label(tmp_path):
    zones = {CONTRABASS: [("Double Bass", 20, 45), ("Cello", 46, 64)]}
    font = write_font(tmp_path / "half.sf2", zones)
    assert mislabelled_programs(font) == {"contrabass": "cello"}
    assert usable_labels(font) == []


def test_a_font_of_a_folders_source_bears_its_name(tmp_path, font):
    other = write_font(tmp_path / "other.sf2", {CELLO: [("Cello C2", 30, 90)]})
    assert families([font, other]) == {"font-font": (font,), "font-other": (other,)}
    joined = families([font, other], {"other": "real", "absent": "x"})
    assert joined == {"font-font": (font,), "real": (other,)}
    both = families([font, other], {"font": "real", "other": "real"})
    assert both == {"real": (font, other)}
