"""What the commands for pictures share."""

import argparse

import pytest

from features.errors import TimbreError
from training.material import MaterialError
from training.pictures.options import add_config, config_of, told


def config(*argv):
    parser = argparse.ArgumentParser()
    add_config(parser)
    return config_of(parser.parse_args(argv))


def test_a_size_is_a_side_or_height_and_width():
    assert (config("--size", "64").height, config("--size", "64").width) == (64, 64)
    wide = config("--size", "48x96", "--fit", "pad", "--resample", "lanczos")
    assert (wide.height, wide.width, wide.fit, wide.resample) == (48, 96, "pad", "lanczos")


@pytest.mark.parametrize("size", ["", "x", "-3", "a", "0", "4097"])
def test_a_size_that_is_none_is_refused(size):
    with pytest.raises(TimbreError):
        config(f"--size={size}")


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (None, 0, ""),
        (MaterialError("no pictures"), 1, "timbre data x: no pictures\n"),
        (OSError(28, "No space left on device"), 1, "No space left on device"),
        (ModuleNotFoundError("No module named 'sklearn'"), 1, "pip install 'timbre[train]'"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_every_end_has_its_exit_code_and_message(error, code, said, capsys):
    def work():
        if error:
            raise error

    assert told("x", work) == code
    assert said in capsys.readouterr().err
