import shutil
from pathlib import Path

import numpy as np
import pytest

from training.common.errors import MaterialError
from training.common.labels import RATE
from training.notes.render import (
    TAKES,
    Struck,
    families,
    installed_fonts,
    library_of_fonts,
    render,
    render_notes,
    usable_labels,
)
from training.notes.soundfont import label_samples, mislabelled_programs, program_zones, shared


def test_a_rendered_note_has_its_pitch_and_its_time(small_font, pitch_heard):
    sound = render(small_font, 73, [Struck(0.5, 1.0, 81, 90)])
    assert np.abs(sound[: int(0.45 * RATE)]).max() < 1e-3
    assert pitch_heard(sound[int(0.7 * RATE) : int(1.4 * RATE)]) == pytest.approx(81, abs=0.3)


def test_a_rate_asked_for_is_the_rate_given(small_font, pitch_heard):
    sound = render(small_font, 73, [Struck(0.0, 1.0, 69, 90)], rate=44_100)
    assert pitch_heard(sound[8000:40_000], 44_100) == pytest.approx(69, abs=0.3)


def test_the_whole_range_is_rendered_in_every_take(small_font):
    notes = list(render_notes(small_font, "bassoon"))
    assert len(notes) == len(TAKES) * (74 - 34 + 1)
    assert {note.label for note in notes} == {"bassoon"}
    assert all(np.abs(note.samples).max() > 1e-3 for note in notes)


def test_without_fluidsynth_the_message_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MaterialError, match="apt install fluidsynth"):
        render(tmp_path / "a.sf2", 0, [Struck(0.0, 1.0, 60, 90)])


def test_a_viola_that_plays_violin_samples_is_left_out(small_font):
    assert mislabelled_programs(small_font) == {"viola": "violin"}
    assert "viola" not in usable_labels(small_font)
    assert {"violin", "cello", "contrabass"} <= set(usable_labels(small_font))


def test_programs_name_their_samples(small_font):
    assert "Oboe A5" in label_samples(small_font)["oboe"]
    assert all(program_zones(small_font)[program] for program in range(128))


def test_samples_outside_an_instruments_range_do_not_count(small_font):
    zones = program_zones(small_font)[43]
    assert "Arco Cello D6" in {zone.name for zone in zones}
    assert min(zone.low for zone in zones if zone.name == "Arco Cello D6") > 64
    assert "Arco Cello D6" not in label_samples(small_font)["contrabass"]


def test_other_files_are_no_sound_fonts(tmp_path):
    for content in (b"", b"RIFF", b"RIFF\0\0\0\0sfbk" + bytes(100), bytes(1000)):
        (tmp_path / "x.sf2").write_bytes(content)
        with pytest.raises(MaterialError, match=r"x\.sf2 is not a sound font"):
            program_zones(tmp_path / "x.sf2")


def test_fonts_that_share_samples_are_one_source(small_font, tmp_path):
    renamed = Path(shutil.copy(small_font, tmp_path / "Other.sf2"))
    assert shared(small_font, renamed) == 1
    assert families([small_font, renamed]) == {"font-timgm6mb": (small_font, renamed)}


@pytest.mark.slow  # needs sound fonts of 300 MB
def test_musescore_general_and_fluid_are_kin_and_timgm_is_not(small_font):
    fonts = {font.stem: font for font in installed_fonts()}
    if not {"FluidR3_GM", "MuseScore_General_Full"} <= set(fonts):
        pytest.skip(
            "the sound fonts fluid-soundfont-gm and musescore-general-soundfont are not installed"
        )
    groups = families(installed_fonts())
    assert set(groups["font-fluidr3_gm"]) >= {fonts["FluidR3_GM"], fonts["MuseScore_General_Full"]}
    assert small_font in groups["font-timgm6mb"]
    assert not {fonts["FluidR3_GM"], fonts["MuseScore_General_Full"]} & set(groups["font-timgm6mb"])


@pytest.mark.slow
def test_the_bank_of_csound_is_kin_to_timgm_and_its_horn_is_a_tuba(small_font):
    fonts = {font.stem: font for font in installed_fonts()}
    if "sf_GMbank" not in fonts:
        pytest.skip("the sound font csound-soundfont is not installed")
    assert mislabelled_programs(fonts["sf_GMbank"]) == {"viola": "violin", "horn": "tuba"}
    assert families([fonts["sf_GMbank"], small_font]) == {
        "font-sf_gmbank": (fonts["sf_GMbank"], small_font)
    }


@pytest.mark.slow
def test_a_font_becomes_a_library(small_font, tmp_path):
    library = library_of_fonts("font-timgm6mb", [small_font], tmp_path)
    assert set(library.labels) == set(usable_labels(small_font))
    assert not np.isnan(library.pitch).any()
    stamps = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    library_of_fonts("font-timgm6mb", [small_font], tmp_path)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == stamps


@pytest.mark.slow  # renders a font
def test_a_font_and_a_folder_of_one_source_are_one_library(small_font, notes_folder, tmp_path):
    alone = library_of_fonts("toy", [small_font], tmp_path)
    both = library_of_fonts("toy", [small_font], tmp_path, folders=[notes_folder])
    more = {label: both.counts()[label] - alone.counts()[label] for label in alone.labels}
    assert {label: count for label, count in more.items() if count} == {
        "piano": 3,
        "violin": 4,
        "flute": 2,
    }
