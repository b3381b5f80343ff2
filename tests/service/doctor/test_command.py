"""`timbre doctor`: a line for each check, what to do, and the exit code."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from service.doctor.command import main, show
from service.doctor.finding import attention, bad

ROOT = Path(__file__).parents[3]
STATES = {"good", "attention", "bad"}


@pytest.fixture
def quick(monkeypatch):
    """Leave out what runs models in processes of their own; test_models.py has it."""
    monkeypatch.setattr("service.doctor.models.check_models", lambda *_: [])
    monkeypatch.setattr("service.doctor.models.check_providers", lambda *_: [])


@pytest.mark.slow  # a process for each shipped model
def test_a_sound_machine_has_nothing_bad():
    done = subprocess.run(
        [sys.executable, "-m", "service.cli.main", "doctor", "--json"],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    assert json.loads(done.stdout)["bad"] == 0


def test_every_check_is_a_line_with_a_state(quick, capsys):
    code = main([])
    lines = [line for line in capsys.readouterr().out.splitlines() if not line.startswith(" ")]
    *checks, totals = lines
    assert {line.split()[0] for line in checks} <= STATES
    text = "\n".join(checks)
    named = ("features", "kernels", "microphone", "clock", "artefacts", "cache", "memory")
    assert all(f" {name}: " in text for name in named)
    bad_lines = sum(line.startswith("bad") for line in checks)
    assert totals.endswith(f"{bad_lines} bad")
    assert code == (1 if bad_lines else 0)


def test_what_is_bad_is_the_exit_code_and_is_said_in_json(quick, capsys, tmp_path):
    assert main(["--artefacts", str(tmp_path / "none"), "--json"]) == 1
    shown = json.loads(capsys.readouterr().out)
    assert shown["bad"] >= 2
    found = {each["check"]: each for each in shown["findings"]}
    assert found["models"]["state"] == found["artefacts"]["state"] == "bad"
    assert found["models"]["todo"]


def test_the_settings_of_the_server_are_checked_against(quick, capsys):
    main(["--set", "max_streams=100000000", "--set", "max_connections=100000000", "--json"])
    found = {each["check"]: each for each in json.loads(capsys.readouterr().out)["findings"]}
    assert "100,000,000 streams" in found["file descriptors"]["found"]
    assert found["memory"]["state"] == "attention"


def test_trainings_that_cannot_be_written_are_bad(quick, capsys):
    assert main(["--set", "trainings=/proc/1/none", "--json"]) == 1
    found = {each["check"]: each for each in json.loads(capsys.readouterr().out)["findings"]}
    assert found["trainings"]["state"] == "bad"


def test_a_server_that_is_away_is_bad(capsys):
    assert main(["--url", "http://127.0.0.1:1"]) == 1
    assert "bad       server: http://127.0.0.1:1" in capsys.readouterr().out


@pytest.mark.parametrize("given", [["--set", "nothing=1"], ["--url", "ftp://x"]])
def test_invalid_arguments_exit_with_2(given, capsys):
    assert main(given) == 2
    assert capsys.readouterr().err.startswith("timbre doctor: ")


def test_there_are_no_colours_in_a_pipe_and_control_characters_are_escaped(capsys):
    show(bad("model", "x\x1b[31m", "remove it"))
    show(attention("cache", "[red]full[/red]", "make room"))
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert shown.splitlines()[1] == "          > remove it"
    assert "[red]full[/red]" in shown
