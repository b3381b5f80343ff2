"""The command line of the monitor; tests/service/monitor/test_monitor.py runs it."""

import pytest

from service.cli.monitor import DONE, USAGE, main
from tests.service.monitor.test_config import SINK, SOURCE


def test_a_file_is_checked_and_nothing_it_names_is_opened(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m.toml").write_text(SOURCE + SINK)
    assert main(["m.toml", "--check"]) == DONE
    assert capsys.readouterr().out == "m.toml: 1 source, 1 sink\n"
    assert [each.name for each in tmp_path.iterdir()] == ["m.toml"]


@pytest.mark.parametrize("options", [[], ["--check"]])
def test_a_wrong_file_ends_with_one_line(options, tmp_path, capsys):
    (tmp_path / "m.toml").write_text(SOURCE)
    assert main([str(tmp_path / "m.toml"), *options]) == USAGE
    assert capsys.readouterr().err.endswith("m.toml: missing setting sinks\n")
