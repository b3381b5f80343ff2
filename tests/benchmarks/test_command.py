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


def test_streams_have_a_command_line_of_their_own(capsys, unused_tcp_port):
    url = f"http://127.0.0.1:{unused_tcp_port}"
    assert command.main(["streams", "--streams", "1", "--seconds", "0.1", "--url", url]) == 1
    assert "1 streams failed" in capsys.readouterr().out
