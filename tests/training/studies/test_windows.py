"""Window lengths are compared on the same recordings, by source and leaky."""

import numpy as np
import pytest
import soundfile

from training.common.recipe import RecipeError
from training.studies import windows
from training.studies.cli import main


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    """Six players of a high and a low tone, 5 s each."""
    folder = tmp_path_factory.mktemp("recordings")
    time = np.arange(5 * 22_050) / 22_050
    rng = np.random.default_rng(0)
    for number in range(6):
        for label, hertz in (("high", 2000), ("low", 200)):
            path = folder / f"player{number}" / label / "1.wav"
            path.parent.mkdir(parents=True)
            sound = 0.3 * np.sin(2 * np.pi * (hertz + 20 * number) * time) + 0.01 * rng.normal(
                size=len(time)
            )
            soundfile.write(path, sound, 22_050)
    return folder


def test_one_command_makes_a_table_a_length(recordings, tmp_path, capsys):
    settings = [f"cache={tmp_path / 'cache'}", "jobs=1", "windows.hop=0.2"]
    words = [word for change in settings for word in ("--set", change)] + [
        "--jobs",
        "1",
        "--out",
        str(tmp_path / "out"),
    ]
    assert main(["windows", str(recordings), "--lengths", "1,3", *words]) == 0
    shown = capsys.readouterr().out
    rows = [
        line.split("|")[1:-1] for line in shown.splitlines() if line.startswith(("| 1 ", "| 3 "))
    ]
    assert [row[0].strip() for row in rows] == ["1", "3"]
    assert all(float(row[5]) > 0.9 for row in rows), "high and low are easily told apart"
    assert "macro-F1 (leaky)" in shown
    assert all(0.4 < float(row[6]) < 0.6 and 0.4 < float(row[-1]) < 0.6 for row in rows), (
        "half of the cells are off"
    )
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        f"windows.{e}" for e in ("html", "json", "md", "svg")
    ]


def test_lengths_are_seconds():
    assert windows.lengths_of("2,1,4.5") == [1, 2, 4.5]
    with pytest.raises(RecipeError, match="seconds such as"):
        windows.lengths_of("1,two")


@pytest.mark.parametrize(("arguments", "said"), [
    (["windows", "instruments"], "not a recipe with a [collection]"),
    (["windows", "sounds", "--lengths", "x"], "seconds such as"),
    (["windows", "sounds", "--set", "windows.colour=1"], "unknown setting colour"),
])  # fmt: skip
def test_what_cannot_be_compared_is_refused(arguments, said, capsys):
    assert main(arguments) == 1
    assert said in capsys.readouterr().err
