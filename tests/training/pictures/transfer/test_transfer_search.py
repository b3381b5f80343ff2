import json
import tomllib
from dataclasses import replace

import numpy as np
import pytest

from tests.training.pictures.helpers.shapes import collection
from training.cli import main
from training.common.recipe import load
from training.pictures.learn.fit import TrainingData, class_weights
from training.pictures.transfer.transfer import build
from training.pictures.transfer.transfer_search import HEAD, _study, search, toml
from training.pictures.transfer.transfer_settings import (
    PARTS,
    Network,
    SearchSettings,
    StageSettings,
)

pytestmark = pytest.mark.usefixtures("tiny_backbone")

RECIPE = replace(
    load("birds"),
    network=Network(backbone="mobilenet-v3-small", weights="none"),
    head=StageSettings(epochs=1, batch=8),
    fine=StageSettings(epochs=9, low=1e-3, high=1e-3, frozen=1, batch=8, resets=("high",)),
    search=SearchSettings(minutes=10, trials=3, epochs=1),
)


@pytest.fixture(scope="module")
def material():
    rng, labels = np.random.default_rng(0), np.arange(12) % 2
    images = rng.integers(0, 100, (12, 32, 32, 3), np.uint8)
    facts = np.zeros((12, 0), np.uint8)
    return TrainingData(
        images, labels, np.arange(8), np.arange(8, 12), class_weights(labels, 2), facts
    )


@pytest.fixture(scope="module")
def learner(tiny_backbone):
    return build(RECIPE.network, height=32, width=32, labels=2, extra=0, seed=1)


@pytest.fixture(scope="module")
def whole(material, learner, tmp_path_factory):
    """A search that nothing broke off, and its journal."""
    journal = tmp_path_factory.mktemp("whole") / "search.log"
    before = [array.copy() for array in learner.model.get_weights()]
    found = search(RECIPE, learner, material, journal, lambda done, total: None)
    assert all(
        np.array_equal(a, b) for a, b in zip(before, learner.model.get_weights(), strict=True)
    )
    return found, journal


def columns(found, *names):
    return [[row[HEAD.index(name)] for name in names] for row in sorted(found.table["rows"])]


def test_the_recipes_own_settings_are_tried_first_within_the_bounds(whole):
    found, _ = whole
    assert columns(found, *PARTS, "resets")[0] == ["0.001", "1e-06", "0.001", "0.001", "high"]
    assert [number for (number,) in columns(found, "trial")] == [1, 2, 3]


def test_the_lowest_validation_loss_is_taken(whole):
    found, _ = whole
    rows = found.table["rows"]
    losses = [row[HEAD.index("validation loss")] for row in rows]
    assert losses == sorted(losses)
    assert [f"{getattr(found.fine, part):.3g}" for part in PARTS] == rows[0][1:5]
    assert (found.fine.epochs, found.fine.frozen) == (9, 1)
    assert tomllib.loads(toml(found.fine))["fine"] == {
        **{part: getattr(found.fine, part) for part in PARTS},
        "resets": list(found.fine.resets),
    }


class Killed(Exception):
    pass


def test_a_search_that_was_broken_off_tries_what_one_that_was_not_tries(
    whole, material, learner, tmp_path
):
    journal, calls = tmp_path / "search.log", []

    def kill(done, total):
        calls.append(done)
        if len(calls) == 2:
            _study(RECIPE, journal).ask()  # a trial that never ends
            raise Killed

    before = learner.model.get_weights()
    with pytest.raises(Killed):
        search(RECIPE, learner, material, journal, kill)
    learner.model.set_weights(before)
    again = search(RECIPE, learner, material, journal, kill)
    assert len(calls) == 4
    assert columns(again, *PARTS, "resets") == columns(whole[0], *PARTS, "resets")


def test_time_that_is_spent_is_not_spent_again(whole, material, learner):
    found, journal = whole
    recipe, told = replace(RECIPE, search=replace(RECIPE.search, minutes=1e-4)), []
    assert search(recipe, learner, material, journal, lambda *done: told.append(done)) == found
    assert told == []


def test_too_short_a_time_is_enough_for_one_trial(material, learner, tmp_path):
    recipe = replace(RECIPE, search=replace(RECIPE.search, minutes=1e-4))
    found = search(recipe, learner, material, tmp_path / "search.log", lambda done, total: None)
    assert len(found.table["rows"]) == 1
    assert found.fine.resets == ("high",)


def test_what_was_found_is_trained_and_told(tmp_path):
    pictures = collection(tmp_path / "pictures", {"crane": 12, "robin": 12})
    changes = [
        "profile=quick",
        f"pictures.path={pictures}",
        f"cache={tmp_path / 'cache'}",
        "head.epochs=1",
    ]
    changes += ["fine.epochs=1", "search.minutes=5", "search.trials=2", "search.epochs=1"]
    assert (
        main(
            ["birds", "--out", str(tmp_path), *(word for one in changes for word in ("--set", one))]
        )
        == 0
    )
    report = tmp_path / "reports/birds-1"
    best = json.loads((report / "report.json").read_text(encoding="utf-8"))["tables"]["Search"][
        "rows"
    ][0]
    again = load(str(report / "recipe.toml"))
    assert [f"{getattr(again.fine, part):.3g}" for part in PARTS] == best[1:5]
    assert again.search.minutes == 0
    assert "Trials for the second stage" in (report / "report.html").read_text(encoding="utf-8")
