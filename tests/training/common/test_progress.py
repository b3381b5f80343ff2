"""Progress as JSON Lines."""

import json
from contextlib import contextmanager

import pytest

from training.common import progress as module
from training.common.progress import ProgressFile


def rows_of(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def shown():
    calls = []

    @contextmanager
    def stage(name):
        calls.append(name)
        yield lambda done, total: calls.append((done, total))

    return calls, stage


def test_a_stage_is_written_and_shown_from_its_beginning_to_its_end(tmp_path, shown, monkeypatch):
    monkeypatch.setattr(module, "EVERY_S", 0.0)
    calls, stage = shown
    written = ProgressFile(tmp_path / "progress.jsonl", stage)
    with written.stage("features") as progress:
        progress(1, 4)
        progress(4, 4)
    written.write(artefact="birds/1")
    rows = rows_of(tmp_path / "progress.jsonl")
    assert [(row["done"], row["total"], row["ended"]) for row in rows[:-1]] == [
        (0, 0, False),
        (1, 4, False),
        (4, 4, False),
        (4, 4, True),
    ]
    assert {row["stage"] for row in rows[:-1]} == {"features"}
    assert rows[-1] == {"artefact": "birds/1"}
    assert calls == ["features", (1, 4), (4, 4)]


def test_a_stage_that_reports_often_is_not_written_as_often(tmp_path, shown, monkeypatch):
    monkeypatch.setattr(module, "EVERY_S", 3600.0)
    with ProgressFile(tmp_path / "progress.jsonl", shown[1]).stage("many") as progress:
        for done in range(1000):
            progress(done, 1000)
    rows = rows_of(tmp_path / "progress.jsonl")
    assert [row["done"] for row in rows] == [0, 999]
    assert len(shown[0]) == 1001


def test_a_stage_that_fails_has_no_line_that_it_ended(tmp_path, shown):
    stage = ProgressFile(tmp_path / "progress.jsonl", shown[1]).stage
    with pytest.raises(RuntimeError), stage("features"):
        raise RuntimeError
    assert [row["ended"] for row in rows_of(tmp_path / "progress.jsonl")] == [False]
