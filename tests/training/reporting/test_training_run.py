"""How a network was trained: the split, curves or a table, and the epochs that were looked at."""

import re

import pytest

from training.reporting.charts import FEWEST
from training.reporting.training_run import SHOWN, candidates, learning, looks, split_counts

EPOCH = {"loss": 1.0, "valid_loss": 0.5, "valid_accuracy": 0.25}


@pytest.mark.parametrize("epochs", [1, 2, FEWEST, 30])
def test_one_or_two_epochs_are_a_table_and_more_are_curves(epochs):
    page = learning({"head": epochs * [EPOCH], "fine": [EPOCH]})
    assert ("<svg" in page) is (epochs >= FEWEST)
    assert page.count(">0.250</td>") == (0 if epochs >= FEWEST else epochs + 1)


def test_the_curves_of_one_training_have_the_colours_of_the_parts():
    page = learning({"all": 5 * [EPOCH]})
    assert page.count('<ul class="legend">') == 1
    assert re.findall(r"--key:var\(--(c\d)\)\"></i>(\w+)<", page) == [
        ("c0", "train"),
        ("c1", "valid"),
    ]


def test_every_network_has_its_curve_where_there_are_several():
    report = {"candidates": {f"T{number}": 5 * [EPOCH] for number in range(10)}}
    page = candidates(report)
    assert [f"</i>T{number}</li>" in page for number in range(10)] == [True] * 10
    assert candidates({"candidates": {"T1": 5 * [EPOCH]}}) == ""


def test_epochs_that_were_looked_at_have_a_row_each():
    seen = {**EPOCH, "look_top1": 0.5, "look_top5": 0.75, "look_macro_f1": 0.4}
    page = looks({"candidates": {}, "history": {"fine": [EPOCH, seen, EPOCH, seen]}})
    assert [f">{name}</th>" in page for name in ("top-1", "top-5", "macro-F1")] == [True] * 3
    assert re.findall(r"<td>fine</td><td>(\d)</td>", page) == ["2", "4"]
    assert looks({"history": {"fine": [EPOCH]}}) == ""


@pytest.mark.parametrize("count", [1, SHOWN - 1, SHOWN, 83])
def test_the_split_has_a_row_a_class_and_a_bar_of_its_parts(count):
    counts = {"train": list(range(3, count + 3)), "valid": count * [1], "test": count * [2]}
    page = split_counts(counts, [f"class {n}" for n in range(count)])
    rows = re.findall(r"<tr><td>class (\d+)</td><td>(\d+)</td>", page)
    assert [int(at) for at, _ in rows] == list(reversed(range(count))), "the largest first"
    assert page.count('<span class="bar parts">') == count + 1, "and one of all"
    assert ("<details>" in page) is (count + 1 > SHOWN)
    for part, colour in (("train", "c0"), ("valid", "c1"), ("test", "c2")):
        assert f'--key:var(--{colour})"></i>{part}<' in page
