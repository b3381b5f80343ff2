import pytest

from training.common.recipe import RecipeError, load
from training.pictures.learn.transfer_settings import Network, SearchSettings, StageSettings


@pytest.mark.parametrize(
    "wrong",
    [
        {"epochs": 0},
        {"batch": 0},
        {"patience": 0},
        {"plateau": 0},
        {"low": -1e-9},
        {"high": 10.1},
        {"frozen": 11},
        {"frozen": -1},
        {"optimizer": "adam"},
        {"resets": ("top",)},
    ],
)
def test_a_training_that_means_nothing_is_refused(wrong):
    with pytest.raises(RecipeError, match=next(iter(wrong))):
        StageSettings(**wrong)


def test_bounds_themselves_are_allowed():
    StageSettings(
        epochs=1,
        batch=1,
        patience=1,
        plateau=1,
        low=0.0,
        high=10.0,
        frozen=1,
        resets=("low", "classifier"),
    )
    Network(backbone="vgg19", weights="none", dense=(1,), dropout=0.0)


@pytest.mark.parametrize("wrong", [{"dense": (0,)}, {"dropout": 1.0}, {"dropout": -0.1}])
def test_a_network_that_means_nothing_is_refused(wrong):
    with pytest.raises(RecipeError, match="network"):
        Network(backbone="vgg19", **wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        {"minutes": -0.1},
        {"minutes": float("inf")},
        {"trials": 0},
        {"epochs": 0},
        {"lowest": 0.0},
        {"highest": 1e-6},
        {"highest": 10.1},
    ],
)
def test_a_search_that_means_nothing_is_refused(wrong):
    with pytest.raises(RecipeError, match=f"search.*{next(iter(wrong))}"):
        SearchSettings(**wrong)


def test_bounds_of_a_search_are_allowed():
    SearchSettings(minutes=0.0, trials=1, epochs=1, lowest=1e-9, highest=10.0)


def test_the_recipes_hold_the_works_they_follow():
    birds, snails, resets = load("birds"), load("cone-snails"), load("birds", ["profile=resets"])
    assert birds.split.shares == (0.7, 0.15, 0.15)
    assert (birds.head.epochs, birds.head.patience, birds.fine.frozen) == (10, 3, 1)
    assert (snails.network.backbone, snails.network.dense, snails.metadata) == (
        "xception",
        (1024,),
        ("region",),
    )
    assert (snails.augment.turn, snails.augment.scale) == (45, 0.2)
    assert (resets.fine.low, resets.fine.high, resets.fine.resets) == (
        1e-2,
        1e-4,
        ("low", "middle", "classifier"),
    )
