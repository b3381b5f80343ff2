import pytest

from training.common.recipe import RecipeError, load
from training.pictures.dataset.settings import Pictures
from training.pictures.transfer.transfer_settings import (
    Network,
    SearchSettings,
    StageSettings,
    TransferRecipe,
)


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


def recipe(**fields):
    named = {"steps": "picture-transfer", "name": "toy", "metadata": ("region",)}
    return TransferRecipe(**named, pictures=Pictures(layout="region/label"), network=NET, **fields)


NET = Network(backbone="vgg19", weights="none", dense=(1,))
TWO = ({"name": "a", "dense": [2, 3]}, {"name": "b", "alone": True, "backbone": "xception"})


def test_each_candidate_has_its_own_recipe_and_one_alone_has_no_metadata():
    assert list(recipe().chosen()) == [""]
    chosen = recipe(networks=TWO).chosen()
    assert [(name, own.metadata) for name, own in chosen.items()] == [("a", ("region",)), ("b", ())]
    assert chosen["a"].network == Network(backbone="vgg19", weights="none", dense=(2, 3))
    assert chosen["b"].network == Network(backbone="xception", weights="none", dense=(1,))
    for own in chosen.values():
        assert (own.networks, own.only) == ((), ())
    assert list(recipe(networks=TWO, only=("b",)).chosen()) == ["b"]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"networks": (TWO[0], TWO[0])}, "each once"),
        ({"networks": ({"name": ""},)}, "must be named"),
        ({"networks": ({"dense": [2]},)}, "networks: missing setting name"),
        ({"networks": ({"name": "a", "alone": 3},)}, "networks.alone=3 must be of type bool"),
        ({"networks": ({"name": "a", "units": 3},)}, "network a: unknown setting units; known: b"),
        ({"networks": ({"name": "a", "dense": [0]},)}, r"network a: .* 1 or more each"),
        ({"networks": ({"name": "a", "backbone": "alexnet"},)}, "must be one of resnet50"),
        ({"networks": ({"name": "a", "pooling": "max"},)}, "must be average or flatten"),
        ({"networks": TWO, "only": ("c",)}, "no network c; networks: a, b"),
        ({"only": ("a",)}, "no network a; networks: none"),
    ],
)
def test_candidates_that_mean_nothing_are_refused(fields, message):
    with pytest.raises(RecipeError, match=message):
        recipe(**fields)


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
