import importlib.util
import json

import pytest

from training.common.recipe import RecipeError
from training.pictures.learn.live_curves import Curves, blocks, check, terminal_line


def looks(*losses):
    return [
        {"loss": loss, "valid_loss": loss + 0.1, "valid_accuracy": 0.5, "seconds": 1.0}
        for loss in losses
    ]


def test_lines_and_page_hold_every_epoch_of_every_stage(tmp_path, capsys):
    curves = Curves(tmp_path / "curves", name="birds")
    curves.update("head", looks(2.0))
    curves.update("head", looks(2.0, 1.0))
    curves.update("fine", looks(0.5))
    rows = [
        json.loads(line)
        for line in (tmp_path / "curves/curves.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    assert [(row["stage"], row["epoch"], row["loss"]) for row in rows] == [
        ("head", 1, 2.0),
        ("head", 2, 1.0),
        ("fine", 1, 0.5),
    ]
    page = (tmp_path / "curves/curves.html").read_text(encoding="utf-8")
    assert ">2.000</td>" in page, "two epochs are a table"
    assert "http-equiv" in page
    assert sorted(path.name for path in (tmp_path / "curves").iterdir()) == [
        "curves.html",
        "curves.jsonl",
    ]
    told = capsys.readouterr().err.splitlines()
    assert told[0] == f"curves: {tmp_path / 'curves/curves.html'}"
    assert len(told) == 4


def test_a_stage_that_was_trained_before_stays_in_the_curves(tmp_path):
    curves = Curves(tmp_path, name="birds")
    curves.restore("head", looks(2.0, 1.0))
    curves.update("fine", looks(0.5, 0.4, 0.3))
    rows = [
        json.loads(line)
        for line in (tmp_path / "curves.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    assert [row["stage"] for row in rows] == ["head", "head", "fine", "fine", "fine"]
    page = (tmp_path / "curves.html").read_text(encoding="utf-8")
    assert "<svg" in page
    assert "</i>head</li>" in page
    assert "</i>fine</li>" in page


def test_the_page_reloads_itself_until_the_training_has_ended(tmp_path):
    curves = Curves(tmp_path, name="birds")
    curves.update("head", looks(2.0))
    assert 'http-equiv="refresh"' in (tmp_path / "curves.html").read_text(encoding="utf-8")
    curves.close()
    assert 'http-equiv="refresh"' not in (tmp_path / "curves.html").read_text(encoding="utf-8")


@pytest.mark.slow  # needs TensorBoard
def test_tensorboard_reads_every_epoch_once_even_after_a_kill(tmp_path):
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    Curves(tmp_path, name="birds", tensorboard=True).update(
        "head", looks(2.0)
    )  # killed: never closed
    again = Curves(tmp_path, name="birds", tensorboard=True)
    again.restore("head", looks(2.0, 1.0))
    again.update("fine", looks(0.5))
    again.close()
    read = events.EventAccumulator(str(tmp_path / "tensorboard"))
    read.Reload()
    assert set(read.Tags()["scalars"]) == {
        "loss/training",
        "loss/validation",
        "accuracy/validation",
    }
    losses = [(one.step, one.value) for one in read.Scalars("loss/training")]
    assert losses == [(1, 2.0), (2, 1.0), (3, 0.5)]


def test_an_epoch_is_told_in_one_line():
    assert (
        terminal_line("head", looks(2.0, 1.0))
        == "head   2  loss 1.000  validation 1.100  right 50.0%  █▁"
    )


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
