"""How commands of training end."""

import argparse

import pytest

from common.errors import NotFound
from training.common.cli_helpers import bounded_float, bounded_int, run_command


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (NotFound("no table x"), 1, "timbre x: no table x\n"),
        (
            OSError(28, "No space left on device", "/d/f"),
            1,
            "timbre x: /d/f: No space left on device; make room\n",
        ),
        (OSError("odd"), 1, "timbre x: odd\n"),
        (FileNotFoundError(2, "No such file", "f"), 1, "timbre x: f: No such file\n"),
        (
            ModuleNotFoundError("No module named 'y'"),
            1,
            "timbre x: No module named 'y'; install what is missing: pip install",
        ),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_what_went_wrong_is_one_line_and_an_exit_code(error, code, line, capsys):
    def work():
        raise error

    assert run_command("x", work, full="make room") == code
    said = capsys.readouterr().err
    assert said.startswith(line)
    assert said.count("\n") == (code == 1)


def test_a_closed_pipe_is_left_to_the_program():
    def work():
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        run_command("x", work)


@pytest.mark.parametrize(("answer", "code"), [(None, 0), (0, 0), (3, 3)])
def test_its_own_exit_code_goes_first(answer, code):
    assert run_command("x", lambda: answer) == code


@pytest.mark.parametrize(
    ("bounds", "good", "bad"),
    [((1, 9), ["1", "9"], ["0", "10", "x", "-1", ""]), ((0,), ["0", "99999"], ["-1", "1.5"])],
)
def test_numbers_have_bounds_on_both_sides(bounds, good, bad):
    read = bounded_int(*bounds)
    assert [str(read(text)) for text in good] == good
    for text in bad:
        with pytest.raises(argparse.ArgumentTypeError, match="must be a whole number"):
            read(text)


def test_fractions_have_bounds_on_both_sides():
    read = bounded_float(0.1, 60)
    assert [read(text) for text in ("0.1", "2", "60.0")] == [0.1, 2, 60]
    for text in ("0.09", "60.1", "nan", "inf", "x", ""):
        with pytest.raises(argparse.ArgumentTypeError, match=r"must be a number from 0\.1 to 60"):
            read(text)
