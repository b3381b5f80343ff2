"""A file of results says what was measured, where and how; anything else is rejected by name."""

import argparse
import json
import re

import pytest

from benchmarks.reporting import results
from common.errors import InputError

ROW = {"what": "a", "name": "timbre", "rows": 8, "median_ms": 0.123456789, "ratio": 1.0}
REPORT = results.document("x", command="timbre bench x", settings={"tiny": True}, rows=[ROW])


def test_results_are_read_as_they_were_written_but_for_digits_no_clock_has(tmp_path):
    results.write(tmp_path / "x.json", REPORT)
    found = results.read(tmp_path / "x.json")
    assert found["rows"] == [ROW | {"median_ms": 0.12346}]
    assert found["settings"] == {"tiny": True}
    where = {"processor", "instruction_set", "cores", "load", "load_after", "commit", "python"}
    assert where <= set(found["machine"])
    assert found["versions"]["numpy"]
    assert results.read_folder(tmp_path) == {"x": found}


@pytest.mark.parametrize("name", results.FIELDS)
def test_a_file_without_a_field_is_rejected_by_its_name(name, tmp_path):
    path = tmp_path / "x.json"
    path.write_text(json.dumps({key: value for key, value in REPORT.items() if key != name}))
    with pytest.raises(InputError, match=f"x.json .* no '{name}'"):
        results.read(path)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (None, "cannot be read"),
        ("{", "not JSON"),
        ("[]", "not an object"),
        (json.dumps(REPORT | {"rows": {}}), "'rows'"),
        (json.dumps(REPORT | {"rows": [1]}), "a row"),
        (json.dumps(REPORT | {"settings": 1}), "'settings'"),
    ],
)
def test_what_holds_no_results_is_rejected(text, why, tmp_path):
    path = tmp_path / "x.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError, match=why):
        results.read(path)


def test_the_option_takes_a_file_or_none_and_is_no_part_of_the_command(tmp_path, capsys):
    parser = argparse.ArgumentParser()
    results.add_option(parser)
    assert parser.parse_args([]).json is None
    assert parser.parse_args(["--json"]).json == results.PRINTED
    path = str(tmp_path / "x.json")
    assert parser.parse_args(["--json", path]).json == path
    for given in (["--json"], ["--json", path], [f"--json={path}"], ["--json", "-"]):
        assert results.without_json(["--a", "1", *given, "--b"]) == ["--a", "1", "--b"]
    assert results.publish(path, REPORT) is False
    assert results.publish(None, REPORT) is False
    assert capsys.readouterr().out == ""
    assert results.publish(results.PRINTED, REPORT) is True
    assert json.loads(capsys.readouterr().out) == REPORT
    results.check_option(parser, path)
    with pytest.raises(SystemExit) as caught:
        results.check_option(parser, str(tmp_path / "no" / "x.json"))
    assert caught.value.code == 2


def test_a_row_is_named_by_what_it_measures_and_not_by_its_figures():
    assert results.name_of(ROW) == "timbre, a, 8 rows"
    assert results.key_of(ROW) == results.key_of(ROW | {"median_ms": 9.0})


@pytest.mark.parametrize(("ratio", "low", "base"), [(1, 1, True), (1, 0.9, False), (2, 1, False)])
def test_the_base_is_the_row_that_is_once_itself_in_every_round(ratio, low, base):
    row = {"ratio": ratio, "ratio_p25": low, "ratio_p75": 1}
    assert results.is_base(row) is base


@pytest.mark.parametrize(
    ("machine", "more", "told"),
    [
        ({"instruction_set": "AVX2", "cores": 2, "load": 1.0, "load_after": 2.0}, {},
         "p, AVX2, 2 cores, load 1.0 before and 2.0 after, commit c, d"),
        ({"cores": 2, "load": 13}, {"copied": "figures copied"},
         "p, 2 cores, load 13, commit c, d, figures copied"),
        ({}, {}, "p, commit c, d"),
        ({}, {"models": "birds 3 of 2026-11-30"}, "birds 3 of 2026-11-30"),
    ],
)  # fmt: skip
def test_where_it_was_measured_is_told_as_far_as_it_is_known(machine, more, told):
    report = {"machine": {"processor": "p", "commit": "c", **machine}, "date": "d", **more}
    assert results.where(report) == told


def test_a_path_in_the_words_of_others_begins_at_the_repository(tmp_path):
    words = {"gaps": {"a peer": f"no {results.ROOT}/peers/a.so, no {results.ROOT}/b.so"}}
    assert results.rounded(words) == {"gaps": {"a peer": "no peers/a.so, no b.so"}}


def test_no_result_of_the_repository_has_a_path_of_a_machine():
    for path in results.FOLDER.iterdir():
        found = re.findall(r"/(?:home|root|tmp|work|Users)/\S+", path.read_text(encoding="utf-8"))
        assert not found, path


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["/data/own", "--backbone", "net.onnx"], "FOLDER --backbone net.onnx"),
        (["/data/own/", "--json", "x.json"], "FOLDER"),
        (["/data/./own"], "FOLDER"),
        (["--trained-on=/data/own"], "--trained-on=FOLDER"),
        (["--trained-on", "/home/somebody/more"], "--trained-on more"),
        (["--trained-on=/home/somebody/more"], "--trained-on=more"),
        (["--set", "archive=/home/somebody/a.db"], "--set archive=a.db"),
        (["--serve", "--set models=/home/b/c/d --redis"], "--serve '--set models=d --redis'"),
        (["--input", "file:///home/b/a.wav"], "--input file://a.wav"),
        (["--url", "http://a.example:80/v1/models"], "--url http://a.example:80/v1/models"),
        (
            ["--model", "a/b", "--share", "1/2", "--folder=../c/d"],
            "--model a/b --share 1/2 --folder=../c/d",
        ),
        (["instruments", "--factor", "0.8", "--name=a b"], "instruments --factor 0.8 '--name=a b'"),
    ],
)
def test_a_command_has_no_path_of_this_machine(given, told):
    found = results.command_of("tool", given, {"/data/own": "FOLDER"})
    assert found == f"tool {told}"
