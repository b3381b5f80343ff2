import json

import pytest

from benchmarks import cli
from benchmarks.serving import load


@pytest.mark.parametrize("what", [pytest.param("features", marks=pytest.mark.slow), "forest"])
def test_json_names_the_machine_the_commit_and_the_rows(what, capsys):
    code = cli.main([what, "--tiny", "--json"])
    report = json.loads(capsys.readouterr().out)
    assert {"processor", "cores", "commit"} <= set(report["machine"])
    assert {"name", "median_ms", "ratio"} <= set(report["rows"][0])
    assert code == (1 if report["missed"] else 0)


def test_an_empty_command_line_is_wrong_usage(capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main([])
    assert caught.value.code == 2
    assert "features" in capsys.readouterr().err


@pytest.mark.parametrize("what", ["load", "capacity"])
def test_loads_have_command_lines_of_their_own(what, capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main([what, "--help"])
    assert caught.value.code == 0
    assert "--seconds" in capsys.readouterr().out


BOUNDS = {
    "--requests": (0, 10**7), "--clients": (1, 10**5), "--rate": (0, 10**6),
    "--streams": (0, 10**5), "--ramp": (0, 3_600), "--jitter": (0, 3_600), "--drops": (0, 1),
    "--seconds": (0.1, 86_400), "--hop": (0.01, 10), "--chunk": (0.001, 10),
    "--sample-rate": (8_000, 192_000),
}  # fmt: skip


@pytest.mark.parametrize("option", BOUNDS)
def test_numbers_that_make_no_load_are_rejected_at_both_ends(option, capsys):
    name = option.removeprefix("--").replace("-", "_")
    for bound, beyond in zip(BOUNDS[option], (-1, 1), strict=True):
        assert getattr(load._parser().parse_args([option, str(bound)]), name) == bound
        outside = bound + beyond if isinstance(bound, int) else bound + beyond * 1e-4
        with pytest.raises(SystemExit):
            load._parser().parse_args([option, str(outside)])
        assert f"{option}: {outside} must be between" in capsys.readouterr().err


@pytest.mark.parametrize(
    "given", [["load", "--requests", "0"], ["load", "--hop", "nan"], ["capacity", "--start", "0"]]
)
def test_a_load_of_nothing_is_wrong_usage(given, capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main(given)
    assert caught.value.code == 2
    assert "error" in capsys.readouterr().err
