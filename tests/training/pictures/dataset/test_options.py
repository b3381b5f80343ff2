"""What the commands for pictures share."""

import argparse
import subprocess
import sys

import pytest

from common.errors import TimbreError
from training.data_cli import main
from training.pictures.dataset.options import add_config, config_of


def config(*argv):
    parser = argparse.ArgumentParser()
    add_config(parser)
    return config_of(parser.parse_args(argv))


def test_a_size_is_a_side_or_height_and_width():
    assert (config("--size", "64").height, config("--size", "64").width) == (64, 64)
    wide = config("--size", "48x96", "--fit", "pad", "--resample", "lanczos")
    assert (wide.height, wide.width, wide.fit, wide.resample) == (48, 96, "pad", "lanczos")


@pytest.mark.parametrize("size", ["", "x", "-3", "a", "0", "4097", "64x", "x64", "64x64x64"])
def test_a_size_that_is_none_is_refused(size):
    with pytest.raises(TimbreError):
        config(f"--size={size}")


@pytest.mark.parametrize(
    "words",
    [
        ["pack", "--jobs", "0"],
        ["pack", "--seed", "-1"],
        ["clean", "--port", "65536"],
        ["split", "--distance", "21"],
    ],
)
def test_a_number_that_makes_no_sense_is_not_understood(words, folder, tmp_path, capsys):
    out = [] if words[0] == "clean" else [str(tmp_path / "out")]
    with pytest.raises(SystemExit, match="2"):
        main.main([words[0], str(folder), *out, *words[1:]])
    assert f"{words[1]}: '{words[2]}' must be a whole number" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["crawl", "match", "clean", "pack"])
def test_every_command_for_pictures_is_found_and_tells_its_options(name, capsys):
    with pytest.raises(SystemExit, match="0"):
        main.main([name, "--help"])
    assert f"usage: timbre data {name}" in capsys.readouterr().out


def test_split_is_for_pictures_where_there_are_pictures(folder, tmp_path, capsys):
    assert main.main(["split", str(folder), str(tmp_path / "out"), "--ratios", "50/50"]) == 0
    assert "boat" in capsys.readouterr().out


def test_nothing_heavy_is_loaded_to_bring_pack_and_clean_pictures():
    modules = ", ".join(
        f"training.pictures.{name}"
        for name in ("clean.command", "collect.crawl", "dataset.pack", "dataset.split")
    )
    script = f"import sys, {modules}\nprint(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    ).stdout.split()
    assert {"torch", "keras", "sklearn", "librosa", "matplotlib", "pandas"}.isdisjoint(loaded)
