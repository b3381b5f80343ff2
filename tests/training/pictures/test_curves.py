import importlib.util
import json

import pytest

from training.pictures.curves import Curves, blocks, check, spoken
from training.recipe import RecipeError


def looks(*losses):
    return [{"loss": loss, "valid_loss": loss + 0.1, "valid_accuracy": 0.5, "seconds": 1.0} for loss in losses]


def test_lines_and_page_hold_every_epoch_of_every_stage(tmp_path, capsys):
    curves = Curves(tmp_path / "curves")
    curves.tell("head", looks(2.0))
    curves.tell("head", looks(2.0, 1.0))
    curves.tell("fine", looks(0.5))
    rows = [json.loads(line) for line in (tmp_path / "curves/curves.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [(row["stage"], row["epoch"], row["loss"]) for row in rows] == [
        ("head", 1, 2.0),
        ("head", 2, 1.0),
        ("fine", 1, 0.5),
    ]
    page = (tmp_path / "curves/curves.html").read_text(encoding="utf-8")
    assert "<svg" in page
    assert "http-equiv" in page
    assert sorted(path.name for path in (tmp_path / "curves").iterdir()) == ["curves.html", "curves.jsonl"]
    assert capsys.readouterr().err.count("\n") == 3


def test_an_epoch_is_told_in_one_line():
    assert spoken("head", looks(2.0, 1.0)) == "head   2  loss 1.000  validation 1.100  right 50.0%  █▁"


def test_blocks_go_from_lowest_to_highest():
    assert blocks([1.0, 2.0, 3.0])[0::2] == "▁█"
    assert blocks([1.0, 1.0]) == "▁▁"
    assert len(blocks([float(i) for i in range(100)])) == 40


def test_tensorboard_is_promised_only_where_it_is_installed():
    check(tensorboard=False)
    if importlib.util.find_spec("tensorboard"):
        check(tensorboard=True)
    else:
        with pytest.raises(RecipeError, match="pip install tensorboard"):
            check(tensorboard=True)
