import zipfile

import mido
import numpy as np
import pytest

from training.common.errors import MaterialError
from training.notes import sheet_music
from training.notes.sheet_music import Score, files_of, read, read_all, sort

PART = """<score-part id="P{n}"><part-name>{name}</part-name><midi-instrument id="P{n}-I1">
<midi-program>{program}</midi-program></midi-instrument></score-part>"""
NOTE = (
    "<note>{chord}<pitch><step>{step}</step><octave>{octave}</octave></pitch>"
    "<duration>{length}</duration>{tie}</note>"
)


def note(step, octave, length, *, chord=False, tie=""):
    ties = f'<tie type="{tie}"/>' if tie else ""
    return NOTE.format(
        chord="<chord/>" if chord else "", step=step, octave=octave, length=length, tie=ties
    )


def document(parts, *bodies):
    head = "".join(
        PART.format(n=i, name=name, program=program) for i, (name, program) in enumerate(parts)
    )
    body = "".join(f'<part id="P{i}">{measures}</part>' for i, measures in enumerate(bodies))
    return (
        f"<?xml version='1.0'?><score-partwise><part-list>{head}</part-list>{body}</score-partwise>"
    )


def measure(*items):
    return f"<measure>{''.join(items)}</measure>"


DIVISIONS = "<attributes><divisions>2</divisions></attributes>"
TEMPO = '<direction><sound tempo="{}"/></direction>'


def written(tmp_path, *args):
    path = tmp_path / "score.musicxml"
    path.write_text(document(*args))
    return read(path)


def test_notes_chords_and_rests_stand_at_their_seconds(tmp_path):
    rest = "<note><rest/><duration>2</duration></note>"
    music = measure(
        DIVISIONS,
        TEMPO.format(60),
        note("A", 4, 2),
        rest,
        note("C", 4, 4),
        note("E", 4, 4, chord=True),
    )
    score = written(tmp_path, [("Violin", 41)], music)
    assert score.labels == ("violin",)
    assert score.notes[0].tolist() == [[0, 1, 69], [2, 2, 60], [2, 2, 64]]
    assert score.seconds == 4


def test_a_tie_across_the_bar_is_one_note(tmp_path):
    music = measure(DIVISIONS, TEMPO.format(60), note("G", 3, 4, tie="start")) + measure(
        note("G", 3, 2, tie="stop")
    )
    assert written(tmp_path, [("Violin", 41)], music).notes[0].tolist() == [[0, 3, 55]]


def test_a_second_voice_goes_back_to_the_bar_line(tmp_path):
    back = "<backup><duration>4</duration></backup>"
    music = measure(DIVISIONS, TEMPO.format(60), note("C", 5, 4), back, note("C", 3, 2)) + measure(
        note("D", 5, 2)
    )
    assert written(tmp_path, [("Piano", 1)], music).notes[0].tolist() == [
        [0, 1, 48],
        [0, 2, 72],
        [2, 1, 74],
    ]


def test_a_tempo_in_one_part_holds_for_all(tmp_path):
    first = measure(
        DIVISIONS, TEMPO.format(60), note("C", 5, 2), TEMPO.format(120), note("C", 5, 2)
    )
    second = measure(DIVISIONS, note("C", 3, 2), note("D", 3, 2))
    score = written(tmp_path, [("Flute", 74), ("Violoncello", 43)], first, second)
    assert score.labels == ("flute", "cello")
    assert score.notes[1].tolist() == [[0, 1, 48], [1, 0.5, 50]]


def test_transposing_instruments_sound_where_they_sound(tmp_path):
    transpose = "<transpose><chromatic>-2</chromatic></transpose>"
    transpose = f"<attributes><divisions>2</divisions>{transpose}</attributes>"
    music = measure(transpose, TEMPO.format(60), note("C", 5, 2))
    assert written(tmp_path, [("Clarinet", 72)], music).notes[0][0, 2] == 70


def test_parts_of_other_instruments_are_left_out(tmp_path):
    music = measure(DIVISIONS, note("C", 5, 2))
    score = written(tmp_path, [("Trumpet", 57), ("French Horn", 0)], music, music)
    assert score.labels == ("horn",)


def test_a_compressed_score_is_the_same_score(tmp_path):
    text = document([("Oboe", 69)], measure(DIVISIONS, TEMPO.format(90), note("C", 5, 3)))
    (tmp_path / "a.musicxml").write_text(text)
    with zipfile.ZipFile(tmp_path / "a.mxl", "w") as archive:
        archive.writestr(
            "META-INF/container.xml",
            '<container><rootfiles><rootfile full-path="b.xml"/></rootfiles></container>',
        )
        archive.writestr("b.xml", text)
    assert np.array_equal(read(tmp_path / "a.mxl").notes[0], read(tmp_path / "a.musicxml").notes[0])


def test_midi_gives_parts_by_program_and_no_drums(tmp_path):
    track = mido.MidiTrack()
    for channel, program in ((0, 73), (1, 42), (9, 0)):
        track.append(mido.Message("program_change", channel=channel, program=program))
        track.append(mido.Message("note_on", channel=channel, note=60 + channel, velocity=80))
    for channel, wait in ((0, 480), (1, 480), (9, 0)):
        track.append(mido.Message("note_off", channel=channel, note=60 + channel, time=wait))
    mido.MidiFile(ticks_per_beat=480, tracks=[track]).save(tmp_path / "a.mid")
    score = read(tmp_path / "a.mid")
    assert score.labels == ("flute", "cello")
    assert [part.tolist() for part in score.notes] == [[[0, 0.5, 60]], [[0, 1.0, 61]]]


def test_an_excerpt_begins_at_zero_and_keeps_held_notes():
    score = Score(("flute",), (sort([(0, 10, 72), (4, 1, 74), (7, 1, 76)]),))
    assert score.excerpt(4.5, 2.0) == [[(0, 5.5, 72, 0), (0, 0.5, 74, 0)]]


@pytest.mark.parametrize(
    ("name", "content"), [("a.mxl", b"PK no"), ("a.musicxml", b"<score"), ("a.mid", b"MThd")]
)
def test_what_is_no_score_is_named(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(MaterialError, match=f"{name} cannot be read as a score"):
        read(tmp_path / name)


def test_scores_are_parsed_once(tmp_path, monkeypatch):
    path = tmp_path / "a.musicxml"
    path.write_text(document([("Oboe", 69)], measure(DIVISIONS, note("C", 5, 3))))
    first = read_all([path], tmp_path / "cache")
    monkeypatch.delattr(sheet_music, "read")
    again = read_all([path], tmp_path / "cache")
    assert len(first) == 1
    assert np.array_equal(first[0].notes[0], again[0].notes[0])


@pytest.mark.parametrize("changed", ["D", "C"])
def test_a_score_that_is_edited_and_keeps_its_size_is_parsed_again(tmp_path, changed):
    path = tmp_path / "a.musicxml"
    path.write_text(document([("Oboe", 69)], measure(DIVISIONS, note("C", 5, 3))))
    read_all([path], tmp_path / "cache")
    path.write_text(document([("Oboe", 69)], measure(DIVISIONS, note(changed, 5, 3))))
    pitch = read_all([path], tmp_path / "cache")[0].notes[0][0, 2]
    assert pitch == {"C": 72, "D": 74}[changed]
    assert len([*(tmp_path / "cache").iterdir()]) == 1 + (changed == "D")


def test_scores_of_files_and_folders_are_each_there_once(tmp_path):
    (tmp_path / "in").mkdir()
    for name in ("in/b.mid", "in/a.musicxml", "in/notes.txt", "c.mxl"):
        (tmp_path / name).touch()
    found = files_of([tmp_path / "in", tmp_path / "c.mxl", tmp_path / "in" / "b.mid"])
    assert [path.name for path in found] == ["c.mxl", "a.musicxml", "b.mid"]
    assert files_of([tmp_path / "nothing"]) == []
    assert read_all([], tmp_path) == []


def test_a_real_quartet_is_two_violins_viola_and_cello(shared_data):
    path = min((shared_data / "scores").rglob("*.mxl"), key=lambda file: file.stat().st_size)
    score = read(path)
    assert score.labels == ("violin", "violin", "viola", "cello")
    assert score.seconds > 60
    medians = [np.median(part[:, 2]) for part in score.notes]
    assert medians[0] > medians[2] > medians[3]
