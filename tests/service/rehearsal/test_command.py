"""From a candidate to its rehearsal, and to a promotion that demands one."""

import json
import shutil

import pytest

from models.cli import main as models
from service.rehearsal.command import DONE, FAILED, main
from tests.service.conftest import noise, tone, wav

LENIENT = ["--quiet", "0", "--latency-ms", "10000"]


@pytest.fixture
def folders(tmp_path, artefacts, monkeypatch):
    """The served artefacts, a candidate in `artefacts` and an archive in the current folder."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(artefacts / "toy", tmp_path / "served" / "toy")
    choice = ["thresholds", "toy", "--set", '{"tone": 1.0}', "--artefacts", "served"]
    assert models(choice) == 0
    (tmp_path / "kept" / "hall").mkdir(parents=True)
    (tmp_path / "kept" / "hall" / "a.wav").write_bytes(wav([*tone(3), *noise(3)]))
    return tmp_path


def rehearse(version="3"):
    return main(["toy", version, "--archive", "kept", "--to", "served"])


def promote(version="3"):
    options = ["--to", "served", "--rehearsal", "rehearsal.json", *LENIENT]
    return models(["promote", "toy", version, *options])


def test_a_candidate_is_rehearsed_and_promoted(folders, capsys):
    assert rehearse() == DONE
    assert "1 recording: 0 events won, 0 lost, 1 moved" in capsys.readouterr().out
    assert "Rehearsal: toy 3 for 2" in (folders / "rehearsal.html").read_text(encoding="utf-8")
    record = json.loads((folders / "rehearsal.json").read_text(encoding="utf-8"))
    assert record["events"]["tone"]["moved"] == 1
    assert promote() == 0
    # It is served now, so the rehearsal is against another one.
    capsys.readouterr()
    assert promote() != 0
    assert "is served" in capsys.readouterr().err


def test_other_thresholds_need_a_rehearsal_of_their_own(folders, capsys):
    assert rehearse() == DONE
    again = ["thresholds", "toy", "--set", '{"tone": 0.9}', "--artefacts", "artefacts"]
    assert models(again) == 0
    capsys.readouterr()
    assert promote("4") != 0
    assert "other weights, labels or thresholds" in capsys.readouterr().err


def test_a_promotion_needs_the_file_it_names(folders, capsys):
    assert promote() != 0
    assert "cannot read the rehearsal" in capsys.readouterr().err
    assert not (folders / "served" / "toy" / "3").exists()


def test_what_cannot_be_rehearsed_is_one_line(folders, capsys):
    for arguments, told in (
        (["toy", "9", "--archive", "kept"], "9"),
        (["toy", "3", "--archive", "none"], "none is no folder"),
        (["toy", "3", "--archive", "artefacts"], "no sound file"),
        (["toy", "3", "--archive", "kept", "--out", "a.json"], "must have another suffix"),
        (
            ["toy", "3", "--archive", "kept", "--out", "kept/hall/a.wav/b.html"],
            "a.wav: File exists",
        ),
    ):
        assert main([*arguments, "--to", "served"]) == FAILED
        error = capsys.readouterr().err
        assert told in error
        assert error.count("\n") == 1


def test_a_recording_that_cannot_be_read_is_told_and_nothing_but_those_is_no_rehearsal(
    folders, capsys
):
    (folders / "kept" / "b.wav").write_bytes(b"RIFF")
    assert rehearse() == DONE
    assert "b.wav: " in capsys.readouterr().err
    assert "Could not be read" in (folders / "rehearsal.html").read_text(encoding="utf-8")
    (folders / "kept" / "hall" / "a.wav").unlink()
    assert rehearse() == FAILED
    assert "no recording in kept can be read" in capsys.readouterr().err
