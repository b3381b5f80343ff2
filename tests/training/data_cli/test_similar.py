"""`timbre data similar` as a person types it."""

import json
import re

import numpy as np
import pytest
import soundfile as sf

from tests.training.sound_models.helpers.filterbank import filterbank
from training.common.progress import stage
from training.data_cli.embedded import describer
from training.data_cli.main import main
from training.data_cli.similar import most_similar, sounds_of
from training.recordings.collection import Clip
from training.recordings.settings import WindowSpec


@pytest.fixture
def sounds(tmp_path, write_sound, monkeypatch):
    """A folder of five pitches, in folders and not, and two files that ask for one of them."""
    monkeypatch.chdir(tmp_path)
    for name, hertz in (("low/a", 150), ("low/b", 300), ("mid", 900), ("high/c", 2500)):
        write_sound(tmp_path / "sounds" / f"{name}.wav", hertz=hertz)
    write_sound(tmp_path / "ask.wav", hertz=880, seconds=4)
    return [str(tmp_path / "ask.wav"), str(tmp_path / "sounds"), "--cache", "cache"]


@pytest.mark.parametrize("by", ["features", "backbone"])
def test_the_sound_of_the_same_pitch_is_first_by_features_and_by_a_network(sounds, capsys, by):
    filterbank("bands.onnx", window=44_100)
    more = ["--backbone", "bands.onnx"] if by == "backbone" else []
    assert main(["similar", *sounds, *more, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["similar"][0]["sound"] == "mid.wav"
    assert [one["similarity"] for one in found["similar"]] == sorted(
        (one["similarity"] for one in found["similar"]), reverse=True
    )
    told = "embeddings of bands.onnx" if more else "Timbre's 26 features, standardised"
    assert found["by"].startswith(told)


def test_a_table_says_where_and_a_page_has_the_sounds_to_hear(sounds, tmp_path, capsys):
    assert main(["similar", *sounds, "--top", "2"]) == 0
    printed = capsys.readouterr().out
    assert re.search(r"mid\.wav +\d\.\d s +\d\.\d s +\d\.\d{3}", printed)
    page = (tmp_path / "similar.html").read_text()
    assert page.count("<audio") == 3
    assert "mid.wav" in page
    assert not re.search(r'(src|href)="(?!data:|#)', page)


def test_the_second_is_where_the_like_part_begins(sounds, tmp_path, write_sound, capsys):
    low, high = (
        sf.read(write_sound(tmp_path / f"{hertz}.wav", hertz=hertz, seconds=4))[0]
        for hertz in (150, 880)
    )
    sf.write(tmp_path / "sounds" / "late.wav", np.concatenate([low, high]), 22_050)
    assert main(["similar", *sounds, "--json"]) == 0
    found = {one["sound"]: one for one in json.loads(capsys.readouterr().out)["similar"]}
    assert found["late.wav"]["second"] >= 4
    assert not (tmp_path / "similar.html").exists()


def test_a_file_is_not_similar_to_itself_but_its_copy_is_the_most_similar(sounds, tmp_path, capsys):
    inside = tmp_path / "sounds" / "mid.wav"
    (tmp_path / "sounds" / "copy.wav").write_bytes(inside.read_bytes())
    assert main(["similar", str(inside), *sounds[1:], "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["similar"]
    assert found[0]["sound"] == "copy.wav"
    assert found[0]["similarity"] == pytest.approx(1, abs=1e-4)
    assert "mid.wav" not in {one["sound"] for one in found}


def test_what_cannot_be_read_is_named_and_the_others_are_compared(sounds, tmp_path, capsys):
    sound = np.zeros(66_150, np.float32)
    sound[5] = np.nan
    sf.write(tmp_path / "sounds" / "nan.wav", sound, 22_050, subtype="FLOAT")
    (tmp_path / "sounds" / "broken.wav").write_bytes(b"RIFF....WAVE")
    (tmp_path / "sounds" / "notes.txt").write_text("no sound")
    assert main(["similar", *sounds, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    unusable = {one["path"].rpartition("/")[2] for one in found["unusable"]}
    assert unusable == {"nan.wav", "broken.wav"}
    assert len(found["similar"]) == 4


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({0: "none.wav"}, "no file none.wav"),
        ({1: "nowhere"}, "no folder nowhere"),
        ({1: "empty"}, "empty holds no other sound that can be read"),
        ({0: "silent.wav"}, "silent.wav: nothing sounds in any of 1 recordings"),
        ({0: "text.txt"}, "text.txt"),
    ],
)
def test_what_cannot_be_compared_is_told(sounds, tmp_path, capsys, change, told):
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.txt").write_text("no sound at all")
    sf.write(tmp_path / "silent.wav", np.zeros(66_150), 22_050)
    asked = [change.get(at, word) for at, word in enumerate(sounds)]
    assert main(["similar", *asked]) == 1
    assert told in capsys.readouterr().err


@pytest.mark.parametrize("top", ["0", "1001", "x"])
def test_how_many_is_bounded(sounds, capsys, top):
    with pytest.raises(SystemExit):
        main(["similar", *sounds, "--top", top])
    assert "must be a whole number from 1 to 1000" in capsys.readouterr().err


def test_a_network_of_another_window_is_named_before_anything_is_read(sounds, tmp_path, capsys):
    filterbank("short.onnx", window=22_050)
    assert main(["similar", *sounds, "--backbone", "short.onnx"]) == 1
    assert "short.onnx takes wave of (0, 22050)" in capsys.readouterr().err
    assert not (tmp_path / "cache").exists()
    assert main(["similar", *sounds, "--backbone", "short.onnx", "--window", "1"]) == 0


def alone(tmp_path, path, *asked, more=()):
    """The similarities of each file to one sound, which is alone in a folder, once or often."""
    folder = tmp_path / "alone"
    folder.mkdir()
    for number in range(1 + len(more)):
        (folder / f"{number}.wav").write_bytes(path.read_bytes())
    by = describer("", length=2.0)
    spec = WindowSpec(length=2.0, hop=1.0)
    clips, _ = sounds_of(folder, without=path)
    found = {}
    for hertz, file in asked:
        clip = Clip(file, 0.0, 2.0, (), "x")
        similar, _ = most_similar(clip, clips, spec, by, cache=str(tmp_path / "c"), stage=stage)
        found[hertz] = [one.similarity for one in similar]
    return found


@pytest.mark.parametrize("copies", [0, 50])
def test_a_folder_of_one_sound_or_its_copies_tells_what_is_like_it(tmp_path, write_sound, copies):
    asked = [
        (hertz, write_sound(tmp_path / f"{hertz}.wav", hertz=hertz, seconds=2))
        for hertz in (500, 520, 4000)
    ]
    found = alone(tmp_path, asked[0][1], *asked, more=range(copies))
    assert found[500] == pytest.approx([1.0] * (1 + copies), abs=1e-5)
    assert 0.99 > found[520][0] > found[4000][0]
    assert found[4000][0] not in (0, -1)


def test_the_page_counts_what_was_compared_and_silence_is_told(sounds, tmp_path, capsys):
    sf.write(tmp_path / "sounds" / "silent.wav", np.zeros(66_150), 22_050)
    (tmp_path / "sounds" / "broken.flac").write_bytes(b"fLaC" + bytes(5_000))
    assert main(["similar", *sounds]) == 0
    printed = capsys.readouterr().out
    assert "silent.wav: nothing sounds in it" in printed
    assert "2 files cannot be used" in printed
    assert "The 4 of 4 sounds in sounds" in (tmp_path / "similar.html").read_text()
    assert main(["similar", *sounds, "--json", "--top", "2"]) == 0
    found = json.loads(capsys.readouterr().out)
    unusable = {one["path"].rpartition("/")[2] for one in found["unusable"]}
    assert unusable == {"silent.wav", "broken.flac"}
