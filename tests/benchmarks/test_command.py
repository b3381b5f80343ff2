import json

import pytest

from benchmarks import command


@pytest.mark.parametrize("what", ["features", "forest"])
def test_json_names_the_machine_the_commit_and_the_rows(what, capsys):
    code = command.main([what, "--tiny", "--json"])
    report = json.loads(capsys.readouterr().out)
    assert {"processor", "cores", "commit"} <= set(report["machine"])
    assert {"name", "median_ms", "ratio"} <= set(report["rows"][0])
    assert code == (1 if report["missed"] else 0)


def test_an_empty_command_line_is_wrong_usage(capsys):
    with pytest.raises(SystemExit) as caught:
        command.main([])
    assert caught.value.code == 2
    assert "features" in capsys.readouterr().err


@pytest.mark.parametrize("what", ["load", "capacity"])
def test_loads_have_command_lines_of_their_own(what, capsys):
    with pytest.raises(SystemExit) as caught:
        command.main([what, "--help"])
    assert caught.value.code == 0
    assert "--seconds" in capsys.readouterr().out
