"""Recipes for pictures: what no run can mean is refused before it begins."""

import pytest

from training.common.recipe import RecipeError, load
from training.pictures.dataset.settings import Augment, Network, Pictures, PicturesRecipe, Split

NET = Network(name="a", maps=(4,))
BASE = {"steps": "picture-networks", "name": "toy"}


@pytest.mark.parametrize("name", ["guitar-or-bass", "clip-art", "cifar-10"])
def test_shipped_recipes_and_their_quick_profiles_are_read(name):
    assert isinstance(load(name), PicturesRecipe)
    assert load(name, ["profile=quick"]).chosen()


def test_t6_is_as_it_was_published():
    t6 = {network.name: network for network in load("guitar-or-bass").networks}["T6"]
    assert (t6.batch, t6.rate, t6.momentum, t6.kernel, t6.maps) == (32, 0.003, 0.3, 5, (10,))
    assert (t6.norm, t6.dropout, t6.optimizer) == (True, 0.5, "sgd")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"maps": ()}, "maps"),
        ({"maps": (0,)}, "maps"),
        ({"kernel": 4}, "kernel=4 must be odd"),
        ({"epochs": 0}, "epochs=0"),
        ({"batch": 0}, "batch=0"),
        ({"dropout": 1.0}, "dropout"),
        ({"rate": 0.0}, "rate"),
        ({"optimizer": "adam"}, "sgd or adamw"),
        ({"schedule": "cosine"}, "constant or one-cycle"),
        ({"head": "max"}, "flatten or mean"),
    ],
)
def test_a_network_that_is_none_is_refused(fields, message):
    with pytest.raises(RecipeError, match=message):
        Network(**{"name": "a", "maps": (4,), **fields})


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": "Not A Name"}, "lower-case words"),
        ({"networks": ()}, "one or more"),
        ({"networks": (NET, NET)}, "each named once"),
        ({"only": ("b",)}, "no network b; networks: a"),
        ({"jobs": 0}, "jobs=0"),
        ({"epochs": -1}, "epochs=-1"),
        ({"top": ()}, "top"),
        ({"provenance": ({"source": "x"},)}, "provenance"),
        ({"split": Split(by_source=True)}, "needs sources"),
        ({"networks": (Network(name="deep", maps=(4,) * 7),)}, "halves 64 pixels 7 times"),
    ],
)
def test_a_recipe_that_means_nothing_is_refused(fields, message):
    with pytest.raises(RecipeError, match=message):
        PicturesRecipe(**{**BASE, "networks": (NET,), **fields})


def test_bounds_hold_on_their_good_side():
    PicturesRecipe(**BASE, networks=(Network(name="deep", maps=(4,) * 6),))
    PicturesRecipe(
        **BASE,
        networks=(NET,),
        split=Split(by_source=True),
        pictures=Pictures(layout="source/label"),
    )
    Augment(shift=0.5, scale=0.9, turn=180, colour=0.9, background=1, noise=128)


@pytest.mark.parametrize("field", ["shift", "scale", "turn", "colour", "background", "noise"])
def test_changes_that_leave_no_picture_are_refused(field):
    for value in (-0.1, 200):
        with pytest.raises(RecipeError, match=f"augment.{field}"):
            Augment(**{field: value})


def test_shares_and_pictures_that_cannot_be_are_refused():
    for shares in ((1.0, 0.0, 0.0), (0.5, 0.5)):
        with pytest.raises(RecipeError, match="three numbers above 0"):
            Split(shares=shares)
    for fields, message in (
        ({"height": 0}, "sides"),
        ({"thing": "("}, "not a regular expression"),
        ({"thing": "a"}, "no group"),
    ):
        with pytest.raises(RecipeError, match=message):
            Pictures(**fields)


def test_epochs_and_only_change_what_is_trained():
    recipe = load("guitar-or-bass", ["only=T6,T1", "epochs=7"])
    assert [(network.name, network.epochs) for network in recipe.chosen()] == [("T1", 7), ("T6", 7)]
