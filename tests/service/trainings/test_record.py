"""A training is described from its files alone, also from those of one that was killed."""

import json

import pytest

from service.trainings.folder import new_id, write_json
from service.trainings.process import identity
from service.trainings.record import (
    ARTEFACTS,
    CANCEL,
    EXIT,
    LINE,
    LINES,
    LOG,
    PROCESS,
    PROGRESS,
    describe,
    report_of,
    status_of,
    tail,
)
from tests.service.helpers.queued import queued

DEAD = {"pid": 2**22 + 1, "identity": "a boot 1", "begun": "B"}
STOPPED = {"time": "C", "client": "x"}


@pytest.fixture
def folder(tmp_path):
    return queued(tmp_path, "")


def ending(code, why=""):
    return {"code": code, "why": why, "ended": "E"}


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, ("queued", None, None, "")),
        ({CANCEL: STOPPED}, ("cancelled", None, "C", "")),
        ({PROCESS: DEAD, EXIT: ending(0)}, ("done", "B", "E", "")),
        ({PROCESS: DEAD, EXIT: ending(0), CANCEL: STOPPED}, ("done", "B", "E", "")),
        ({PROCESS: DEAD, EXIT: ending(130), CANCEL: STOPPED}, ("cancelled", "B", "E", "")),
        ({PROCESS: DEAD, CANCEL: STOPPED}, ("cancelled", "B", None, "")),
        ({PROCESS: DEAD, EXIT: ending(1)}, ("failed", "B", "E", "it ended with exit code 1")),
        ({PROCESS: DEAD, EXIT: ending(-9)}, ("failed", "B", "E", "it was ended by SIGKILL")),
        ({PROCESS: DEAD, EXIT: ending(-99)}, ("failed", "B", "E", "it ended with exit code -99")),
        ({PROCESS: DEAD, EXIT: ending(None, "why")}, ("failed", "B", "E", "why")),
        (
            {PROCESS: DEAD},
            ("failed", "B", None, "its process was killed before it could end"),
        ),
    ],
)
def test_the_state_follows_from_the_files(folder, files, expected):
    for name, content in files.items():
        write_json(folder / name, content)
    assert tuple(status_of(folder)) == expected


def test_it_runs_while_its_process_does(folder):
    import os

    known = {"pid": os.getpid(), "identity": identity(os.getpid()), "begun": "B"}
    write_json(folder / PROCESS, known)
    assert status_of(folder).state == "running"
    write_json(folder / PROCESS, known | {"identity": "of a process with the same pid"})
    assert status_of(folder).state == "failed"


def test_a_failure_is_told_in_the_words_of_the_training(folder):
    write_json(folder / EXIT, ending(1))
    (folder / LOG).write_text("x\ntimbre train: first\ny\ntimbre train: no folder a\n")
    assert status_of(folder).why == "no folder a"


@pytest.mark.parametrize("name", [EXIT, PROCESS, CANCEL])
@pytest.mark.parametrize("text", ["{", "[]", "", '{"x": 1}'])
def test_a_training_with_a_damaged_file_has_failed_and_can_be_shown(folder, tmp_path, name, text):
    (folder / name).write_text(text)
    status = status_of(folder)
    assert status.state == "failed"
    assert status.why.startswith("its files are damaged: ")
    found = describe(folder, root=tmp_path, details=True)
    assert (found["state"], found["error"]) == ("failed", status.why)


def test_a_request_that_is_damaged_can_be_shown(folder, tmp_path):
    (folder / "request.json").write_text("{")
    assert describe(folder, root=tmp_path, details=True)["recipe"] is None


def lines(*rows, end="\n"):
    return "\n".join(map(json.dumps, rows)) + end


@pytest.mark.parametrize(
    ("rows", "stage", "progress"),
    [
        ([], None, None),
        ([{"stage": "a", "done": 0, "total": 0}], "a", None),
        ([{"stage": "a", "done": 1, "total": 4}], "a", 0.25),
        ([{"stage": "a", "done": 9, "total": 4}], "a", 1.0),
        ([{"stage": "a", "done": 1, "total": 4}, {"stage": "b", "done": 0, "total": 0}], "b", None),
        ([{"stage": "a", "done": 1, "total": 4}, {"artefact": "b/1"}], "a", 0.25),
    ],
)
def test_progress_is_that_of_the_last_stage(folder, tmp_path, rows, stage, progress):
    (folder / PROGRESS).write_text(lines(*rows) + '{"stage": "half a li')
    found = describe(folder, root=tmp_path, details=False)
    assert (found["stage"], found["progress"]) == (stage, progress)


def test_of_a_long_file_of_progress_the_end_is_read(folder, tmp_path):
    rows = [{"stage": "a", "done": n, "total": 50_000} for n in range(50_000)]
    (folder / PROGRESS).write_text(lines(*rows))
    assert describe(folder, root=tmp_path, details=False)["progress"] == 1.0


def test_the_log_is_bounded_in_lines_and_in_their_length(folder, tmp_path):
    (folder / LOG).write_text("".join(f"{n} {'x' * 2 * LINE}\n" for n in range(3 * LINES)))
    shown = describe(folder, root=tmp_path, details=True)["log"]
    assert len(shown) <= LINES
    assert {len(line) for line in shown} == {LINE}
    assert shown[-1].startswith(f"{3 * LINES - 1} x")
    (folder / LOG).write_bytes(b"\xff\xfe one\ntwo")
    assert tail(folder / LOG)[-1] == "two"


def test_curves_are_read_from_the_file_that_the_log_names_if_it_is_inside(folder, tmp_path):
    points = [{"stage": "head", "epoch": n, "loss": 1 / n} for n in (1, 2)]
    inside = tmp_path / "cache" / "x"
    inside.mkdir(parents=True)
    (inside / "curves.jsonl").write_text(lines(*points))
    (folder / LOG).write_text(f"first\ncurves: {inside / 'curves.html'}\nmore\n")
    assert describe(folder, root=tmp_path, details=True)["curves"] == points
    assert describe(folder, root=tmp_path / "other", details=True)["curves"] == []
    (folder / LOG).write_text(f"curves: {inside / 'gone.html'}\n")
    assert describe(folder, root=tmp_path, details=True)["curves"] == []


def done(folder, report="reports/birds-1"):
    write_json(folder / EXIT, ending(0))
    rows = [{"stage": "a", "done": 1, "total": 2}, {"artefact": "birds/1"}, {"report": report}]
    (folder / PROGRESS).write_text(lines(*rows))
    made = folder / ARTEFACTS / "birds" / "1"
    made.mkdir(parents=True)
    metrics = {"mean": {"macro_f1": 0.8, "top1_majority": 0.4, "windows": 3, "f1": {"a": 1.0}}}
    write_json(made / "manifest.json", {"metrics": metrics, "labels": [{"name": "a"}]})


def test_the_result_has_artefact_scores_baseline_and_report(folder, tmp_path):
    done(folder)
    found = describe(folder, root=tmp_path, details=False)
    assert (found["state"], found["progress"]) == ("done", 1.0)
    assert found["result"] == {
        "name": "birds",
        "version": "1",
        "artefacts": [{"name": "birds", "version": "1"}],
        "labels": ["a"],
        "report": None,
        "scores": {"macro_f1": 0.8},
        "baseline": {"top1_majority": 0.4},
    }
    page = folder / ARTEFACTS / "reports" / "birds-1" / "report.html"
    page.parent.mkdir(parents=True)
    page.write_text("x")
    found = describe(folder, root=tmp_path, details=False)
    assert found["result"]["report"] == f"/v1/trainings/{folder.name}/report"
    assert report_of(folder) == page.resolve()


@pytest.mark.parametrize("report", ["..", "../..", "/etc", "reports/../../..", "link"])
def test_a_report_outside_of_the_artefacts_is_none(folder, tmp_path, report):
    done(folder, report)
    (tmp_path / "report.html").write_text("secret")
    (folder / "report.html").write_text("secret")
    (folder / ARTEFACTS / "link").symlink_to(tmp_path)
    assert report_of(folder) is None


def test_ids_of_trainings_name_their_folders(tmp_path):
    id_ = new_id()
    assert describe(queued(tmp_path, "", id_=id_), root=tmp_path, details=False)["id"] == id_
