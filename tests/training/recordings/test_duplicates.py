"""The same recording twice is told, and never stands on two sides."""

import shutil

import pytest

from training.recordings import duplicates
from training.recordings.load import load
from training.recordings.settings import CollectionSpec


@pytest.fixture
def root(by_source, tmp_path):
    return tmp_path / "collection"


def test_a_copy_under_another_source_is_left_out_and_told(by_source, root):
    before = load(by_source)
    shutil.copy(root / "player0" / "high" / "0.wav", root / "player3" / "high" / "again.wav")
    found = load(by_source)
    assert found.clips == before.clips
    (problem,) = found.problems
    assert problem.path == root / "player3" / "high" / "again.wav"
    assert problem.why == f"the same sound as {root / 'player0' / 'high' / '0.wav'}, which is used"


def test_of_one_sound_under_two_labels_neither_is_used(by_source, root):
    shutil.copy(root / "player0" / "high" / "0.wav", root / "player3" / "low" / "again.wav")
    found = load(by_source)
    told = {problem.path.name: problem.why for problem in found.problems}
    assert told.keys() == {"0.wav", "again.wav"}
    assert "player0/high/0.wav, with other labels" in told["again.wav"]
    assert "player3/low/again.wav, with other labels" in told["0.wav"]
    assert len(found.clips) == 11


@pytest.mark.parametrize("at", [100, -1])
def test_files_that_differ_in_one_byte_are_two(by_source, root, at, monkeypatch):
    monkeypatch.setattr(duplicates, "BEGINNING", 1000)
    content = bytearray((root / "player0" / "high" / "0.wav").read_bytes())
    content[at] ^= 1
    (root / "player3" / "high" / "again.wav").write_bytes(content)
    found = load(by_source)
    assert not found.problems
    assert len(found.clips) == 13


def test_two_lines_of_a_list_may_cut_one_file(tmp_path, write_sound):
    write_sound(tmp_path / "one.wav")
    (tmp_path / "list.csv").write_text("path,start,end,labels\none.wav,0,1,high\none.wav,1,2,low\n")
    assert len(load(CollectionSpec(kind="csv", path=str(tmp_path / "list.csv"))).clips) == 2
