"""`timbre bench load` and `timbre bench capacity`, small, against servers they start themselves."""

import json
import re
import shutil

import pytest

from benchmarks import cli, report_page, server_process
from benchmarks.serving import capacity
from common.errors import TimbreError
from tests.service.conftest import artefacts  # noqa: F401 - fixture


@pytest.fixture
def toy(artefacts):  # noqa: F811
    return ["--serve", f"--artefacts {artefacts} --set window_deadline=60", "--model", "toy"]


def test_clips_and_streams_at_once_make_a_report(toy, tmp_path, capsys):
    wanted = [
        "--requests",
        "20",
        "--clients",
        "5",
        "--streams",
        "2",
        "--seconds",
        "2.2",
        "--report",
        f"{tmp_path}/r",
    ]
    assert cli.main(["load", *wanted, *toy]) == 0
    told = capsys.readouterr().out
    assert "20 OK, 0 BAD in" in told
    assert "51.348 s" in told
    assert "2 windows, 2 answered, 0 dropped, 0 missing, 0 streams failed" in told
    report = json.loads((tmp_path / "r.json").read_text())
    assert (report["clips"]["ok"], report["streams"]["answered"]) == (20, 2)
    assert report["server"]["mib"] > 10
    assert report["loop_lag_ms"]["max"] > 0
    assert "loop lag" in told
    html = (tmp_path / "r.html").read_text()
    assert html.count("<svg") == 6
    assert not re.search(r"(src|href)=|NaN|None", html)


@pytest.mark.skipif(not shutil.which("redis-server"), reason="no redis-server on this machine")
def test_the_same_through_redis(toy, capsys):
    assert cli.main(["load", "--redis", "--requests", "5", "--clients", "2", *toy]) == 0
    assert "5 OK, 0 BAD in" in capsys.readouterr().out


def test_a_server_that_is_not_there_is_told_and_reported(unused_tcp_port, tmp_path, capsys):
    url = f"http://127.0.0.1:{unused_tcp_port}"
    wanted = ["--requests", "3", "--streams", "1", "--seconds", "0.1", "--report", f"{tmp_path}/r"]
    assert cli.main(["load", *wanted, "--url", url]) == 1
    told = capsys.readouterr().out
    assert "0 OK, 3 BAD (3 Client" in told
    assert "1 streams failed" in told
    assert "3" in (tmp_path / "r.html").read_text()


def test_a_server_that_cannot_start_gives_its_last_words():
    with (
        pytest.raises(TimbreError, match="unknown setting"),
        server_process.served(["--set", "nonsense=1"]),
    ):
        pass


def test_the_lag_of_several_gateways_is_that_of_the_worst():
    words = ["12:00:00.000 - loop lag p50=1 p99.9=20 max=21.5", "12:00:00.000 - leaving grace=10"]
    words.append("12:00:00.001 - loop lag p50=2 p99.9=10 max=1.2e+03")
    assert server_process.lag_of(words) == {"p50": 2.0, "p99.9": 20.0, "max": 1200.0}


def test_a_report_into_nowhere_is_rejected_before_any_load(tmp_path, capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main(["load", "--report", f"{tmp_path}/no/such"])
    assert caught.value.code == 2
    assert "no folder" in capsys.readouterr().err


@pytest.mark.slow  # loads a server for a while
def test_capacity_tells_what_was_tried_and_what_held(toy, capsys, monkeypatch):
    monkeypatch.setattr(capacity, "LIMIT_MS", 60_000)
    wanted = ["--seconds", "2.4", "--start", "1", "--most", "2", "--json"]
    assert cli.main(["capacity", *wanted, *toy]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["streams"] == 2
    assert [(each["streams"], each["good"]) for each in told["tried"]] == [(1, True), (2, True)]


def test_streams_too_short_for_a_window_measure_nothing(toy):
    with pytest.raises(TimbreError, match="increase --seconds"):
        cli.main(["capacity", "--start", "1", "--seconds", "0.5", *toy])


def test_capacity_of_a_server_that_is_not_there_is_none(unused_tcp_port, capsys):
    wanted = [
        "--seconds",
        "0.1",
        "--start",
        "1",
        "--most",
        "1",
        "--url",
        f"http://127.0.0.1:{unused_tcp_port}",
    ]
    assert cli.main(["capacity", *wanted]) == 1
    assert "TOO MANY" in capsys.readouterr().out


@pytest.mark.parametrize(
    "fault", [{"dropped": {"late": 1}}, {"missing": 1}, {"failed": {"x": 1}}, {"ms": 100.1}]
)
def test_only_answers_in_time_and_nothing_lost_are_good(fault):
    ages = {"p50": 1.0, "p99": fault.pop("ms", 100.0)}
    found = {
        "streams": 1,
        "dropped": {},
        "missing": 0,
        "failed": {},
        "ms": ages,
        "told_ms": ages,
        "lag_ms": ages,
    }
    report = {"streams": found | fault, "generator": {"cpu": 0.1}}
    assert capacity.evaluate(report)["good"] == (not fault and ages["p99"] <= 100)
    assert capacity.evaluate({**report, "streams": found | {"ms": {"p50": 1.0, "p99": 100.0}}})[
        "good"
    ]


@pytest.mark.parametrize(
    ("value", "end"), [(0, 1), (0.3, 0.4), (1, 1), (4.1, 5), (9, 10), (130, 200)]
)
def test_an_axis_ends_at_a_round_number(value, end):
    assert report_page.nice(value) == pytest.approx(end)
