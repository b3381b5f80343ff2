"""The command `timbre`: quick to start, clear errors on unknown commands."""

import importlib.metadata
import subprocess
import sys

import pytest

from service.cli.main import GROUP, main


def test_help_names_every_command_with_a_line_each(capsys):
    assert main([]) == main(["--help"]) == 0
    listing = capsys.readouterr().out
    names = {entry.name for entry in importlib.metadata.entry_points(group=GROUP)}
    assert {"serve", "listen", "classify", "models", "train", "bench"} <= names
    for name in names:
        assert any(
            line.split()[:1] == [name] and len(line.split()) > 3 for line in listing.splitlines()
        )


PROBE = """
import sys
from service.cli.main import main
main(["--help"])
heavy = "numpy onnxruntime numba aiohttp scipy soundfile rich torch sklearn".split()
print([name for name in heavy if name in sys.modules], file=sys.stderr)
"""


def test_help_loads_nothing_heavy():
    found = subprocess.run(
        [sys.executable, "-c", PROBE], capture_output=True, text=True, check=True
    )
    assert found.stderr.strip() == "[]"


def test_the_version_is_that_of_the_package(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("timbre 0.")


def test_an_unknown_command_exits_with_2(capsys):
    assert main(["server"]) == 2
    assert "server" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["serve", "models"])
def test_a_commands_own_help_exits_with_0(name):
    with pytest.raises(SystemExit) as caught:
        main([name, "--help"])
    assert caught.value.code == 0
