"""`timbre data` as a person types it, on small collections; what it prints is what it made."""

import re
import sys

import numpy as np
import pytest
import soundfile as sf

from features.extract import extract
from training.data_cli.instruments_table import export
from training.data_cli.main import COMMANDS, main
from training.notes.window_set import Spec, build
from training.recordings import audio
from training.recordings.table import open_table


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_help_names_every_command(capsys):
    assert main([]) == 0
    printed = capsys.readouterr().out
    assert all(f"  {name} " in printed for name in COMMANDS)


def test_what_is_no_command_is_told(capsys):
    assert main(["chek"]) == 2
    assert "unknown command 'chek'" in capsys.readouterr().err


def test_check_counts_and_finds_what_only_decoding_shows(by_source, tmp_path, capsys):
    assert main(["check", by_source.path]) == 0
    assert not (tmp_path / "problems.csv").exists()
    broken = tmp_path / "collection" / "player0" / "low" / "0.wav"
    broken.write_bytes(broken.read_bytes()[:5000])
    (tmp_path / "collection" / "player0" / "low" / "x.txt").write_text("?")
    assert main(["check", by_source.path]) == 1
    printed = capsys.readouterr().out
    assert "high" in printed
    lines = (tmp_path / "problems.csv").read_text().splitlines()
    assert lines[0] == "path,problem"
    assert {line.rpartition("/")[2].partition(",")[0] for line in lines[1:]} == {"0.wav", "x.txt"}
    assert "truncated" in "".join(lines)
    assert "2 cannot be used; all are in problems.csv" in printed


def test_check_names_a_recording_that_holds_nan(by_source, tmp_path, capsys):
    sound = np.random.default_rng(0).normal(0, 0.1, 66_150)
    sound[100] = np.nan
    path = tmp_path / "collection" / "player0" / "low" / "nan.wav"
    sf.write(path, sound, 22_050, subtype="FLOAT")
    assert main(["check", by_source.path]) == 1
    assert re.search(r"nan\.wav: .*must be finite", capsys.readouterr().out)


@pytest.mark.parametrize(
    ("track", "why"),
    [
        (b"00:00:00.0\t00:00:02.0\n", "is not START, tab, END, tab, LABEL"),
        (b"0.0 2.0 flute\n", "is not START, tab, END, tab, LABEL"),
        (b"1\n00:00:01,000 --> 00:00:02,000\nflute\n", "is not START, tab, END, tab, LABEL"),
        (b"Selection\tView\tChannel\n1\tSpectrogram 1\t1\n", "is not START, tab, END, tab, LABEL"),
        (b"1.0\t1.0\tflute\n", "'flute' is a point"),
        (b"0\t2\tFl\xf6te\n", "byte 0xf6 is not UTF-8"),
        (b"0\t2\tFl\xc3\x83\xc2\xb6te\n", "was decoded wrongly"),
    ],
)
def test_a_collection_without_a_label_says_why_and_lists_everything(
    tmp_path, write_sound, capsys, track, why
):
    write_sound(tmp_path / "c" / "a.wav")
    (tmp_path / "c" / "a.txt").write_bytes(track)
    assert main(["check", "c", "--set", "collection.kind=audacity"]) == 1
    captured = capsys.readouterr()
    assert why in captured.err
    assert "line 1" in captured.err
    assert why in (tmp_path / "problems.csv").read_text()
    assert "all are in problems.csv" in captured.out


def test_split_prints_and_draws_hours_by_part(by_source, tmp_path, capsys):
    assert main(["split", by_source.path, "--plot", "split.png"]) == 0
    printed = capsys.readouterr().out
    assert "train: 4 sources: player" in printed
    assert (tmp_path / "split.png").read_bytes().startswith(b"\x89PNG")


def test_split_of_pictures_goes_to_pictures(tmp_path, monkeypatch):
    (tmp_path / "pictures" / "cat").mkdir(parents=True)
    (tmp_path / "pictures" / "cat" / "1.jpg").touch()
    with pytest.raises(SystemExit):
        main(["split", str(tmp_path / "pictures"), "--no-such-option"])
    assert "training.pictures.dataset.split" in sys.modules


def test_table_says_its_rate_and_lists_what_is_missing(by_source, tmp_path, capsys):
    (tmp_path / "collection" / "player0" / "low" / "0.wav").write_bytes(b"RIFF....WAVE")
    assert (
        main(
            [
                "table",
                by_source.path,
                "--kind",
                "features",
                "--kind",
                "log_mel",
                "--set",
                "cache=cache",
            ]
        )
        == 1
    )
    printed = capsys.readouterr().out
    assert " a second" in printed
    assert "tables/sounds: 22 windows" in printed
    assert (tmp_path / "tables" / "sounds-problems.csv").is_file()
    assert open_table(tmp_path / "tables" / "sounds").log_mel.shape == (22, 128, 87)


def test_hear_writes_sounds_and_a_sheet(by_source, tmp_path, capsys):
    assert (
        main(["hear", by_source.path, "--windows", "1", "--set", "augment.variants=volume,room"])
        == 0
    )
    folder = tmp_path / capsys.readouterr().out.strip()
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["00-original.wav", "01-volume.wav", "02-room.wav", "sheet.png"]
    samples, rate = sf.read(folder / "00-original.wav")
    assert (len(samples), rate) == (44_100, 22_050)
    assert (folder / "sheet.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["check", "nowhere"], "no folder, file or recipe 'nowhere'"),
        (["split", "one"], r"1 source \(only\) for 3 parts"),
        (
            ["table", "one", "--set", "augment.variants=echo", "--set", "split.shares=[1, 0, 0]"],
            "no variant 'echo'",
        ),
        (
            ["table", "one", "--set", "augment.background=none", "--set", "split.shares=[1, 0, 0]"],
            "no sounds in .*none",
        ),
        (["hear", "one", "--set", "windows.length=20"], "must be from 0.5 to 15.0 s"),
        (["check", "instruments"], "instruments is not a recipe with a"),
    ],
)
def test_what_cannot_be_done_is_told_in_one_line(words, message, tmp_path, write_sound, capsys):
    write_sound(tmp_path / "one" / "only" / "low" / "1.wav")
    assert main(words) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert re.search(f"^timbre data {words[0]}: .*{message}", error)


def test_a_recipe_of_ones_own_is_a_spec(by_source, tmp_path, capsys):
    (tmp_path / "mine.toml").write_text(
        f'base = "sounds"\n[collection]\npath = "{by_source.path}"\n'
    )
    assert main(["split", "mine.toml"]) == 0


def test_musicnet_is_known_by_its_folders(musicnet, capsys):
    assert main(["check", str(musicnet / "musicnet")]) == 0
    assert "violin" in capsys.readouterr().out


def test_the_windows_of_the_shipped_recipe_become_a_table(notes_folder, tmp_path):
    folders = [notes_folder]
    for name in ("two", "three"):
        copy = tmp_path / name
        copy.symlink_to(notes_folder)
        folders.append(copy)
    counts = {"note": 2, "solo": 1, "mix": 2, "score": 0, "across": 4, "silence": 1, "noise": 1}
    train, test = (
        build(Spec(folders=tuple(folders), **counts), tmp_path / "cache", seed=seed, jobs=1)
        for seed in (1, 2)
    )
    table = export(train, test, tmp_path / "table", kinds=("features",))
    assert set(table.sources) <= {*train.sources, "toy+two", "toy+three", "two+three"}
    by_part = {
        part: {table.sources[g] for g in table.groups[table.rows(part)]}
        for part in ("train", "valid", "test")
    }
    assert all(by_part.values())
    joined = {
        part: {one for name in names for one in name.split("+")} for part, names in by_part.items()
    }
    assert not joined["train"] & (joined["valid"] | joined["test"])
    row = int(table.rows("test")[0])
    clip = table.clip(row)
    heard = audio.read(tmp_path / clip["path"], clip["inner"], rate=22_050)
    assert np.allclose(extract(heard), table.features[row], rtol=1e-3, atol=1e-2)
