"""`timbre bench all` measures what is named, and names what could not be measured."""

import shutil

import pytest

from benchmarks import cli
from benchmarks.reporting import everything, results


@pytest.mark.skipif(not shutil.which("redis-server"), reason="no redis-server on this machine")
def test_each_benchmark_writes_its_results(tmp_path, capsys):
    given = ["--only", "queues", "--tiny", "--out", str(tmp_path)]
    assert cli.main(["all", *given]) == 0
    report = results.read(tmp_path / "queues.json")
    assert report["settings"]["tiny"] is True
    assert "timbre bench queues: " in capsys.readouterr().out


def test_what_could_not_be_measured_is_named_and_keeps_its_results(tmp_path, monkeypatch, capfd):
    (tmp_path / "queues.json").write_text("of before")
    monkeypatch.setenv("PATH", "/nowhere")
    assert cli.main(["all", "--only", "queues", "--tiny", "--out", str(tmp_path)]) == 1
    err = capfd.readouterr().err
    assert "redis-server" in err
    assert "not measured: queues" in err
    assert (tmp_path / "queues.json").read_text() == "of before"


@pytest.mark.parametrize(
    ("given", "why"),
    [(["--only", "nothing"], "no benchmark 'nothing'"), (["--out", "/nowhere"], "no folder")],
)
def test_wrong_use_is_2(given, why, capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main(["all", *given])
    assert caught.value.code == 2
    assert why in capsys.readouterr().err


def test_every_result_of_the_repository_is_of_a_benchmark_that_is_measured_again():
    known = set(everything.SHORT | everything.LONG)
    assert set(results.read_folder()) <= known | set(everything.ELSEWHERE)
    benchmarks = {everything.BENCHMARKS.get(name, name) for name in known}
    assert benchmarks <= set(cli.HELP) | set(cli.OWN)


def test_every_result_names_itself_and_the_command_that_wrote_it():
    for name, report in results.read_folder().items():
        assert report["benchmark"] == name
        assert report["command"] or report[results.COPIED], name
