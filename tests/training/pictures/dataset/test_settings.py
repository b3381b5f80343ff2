"""Recipes for pictures: what no run can mean is refused before it begins."""

import pytest

from training.common.recipe import RecipeError, load
from training.pictures.dataset.settings import Augment, Network, Pictures, PicturesRecipe, Split

NET = Network(name="a", maps=(4,))
BASE = {"steps": "picture-networks", "name": "toy"}


@pytest.mark.parametrize("name", ["guitar-or-bass", "clip-art", "cifar-10", "pictures"])
def test_shipped_recipes_and_their_quick_profiles_are_read(name):
    assert isinstance(load(name), PicturesRecipe)
    assert load(name, ["profile=quick"]).chosen()


PUBLISHED = {
    "T1": (512, 0.005, 0.6, 5, (5,), False, 0),
    "T2": (256, 0.01, 0.6, 5, (5,), False, 0),
    "T3": (64, 0.01, 0.6, 5, (5,), False, 0),
    "T4": (64, 0.04, 0.6, 5, (10,), False, 0),
    "T5": (256, 0.01, 0.6, 5, (10,), True, 0),
    "T6": (32, 0.003, 0.3, 5, (10,), True, 0.5),
    "T7": (256, 0.01, 0.3, 3, (20,), True, 0),
    "T8": (512, 0.005, 0.3, 3, (5,), False, 0),
    "T9": (512, 0.005, 0.3, 5, (10, 10), False, 0),
    "T10": (512, 0.01, 0.6, 5, (10, 30), True, 0),
}


def test_the_ten_networks_are_as_they_were_published():
    recipe = load("guitar-or-bass")
    assert {
        n.name: (n.batch, n.rate, n.momentum, n.kernel, n.maps, n.norm, n.dropout)
        for n in recipe.chosen()
    } == PUBLISHED
    for network in recipe.chosen():
        assert (network.optimizer, network.schedule, network.repeat) == ("sgd", "constant", 1)
        assert network.epochs > 965
        assert network.patience
    assert not recipe.class_weights


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"maps": ()}, "maps"),
        ({"maps": (0,)}, "maps"),
        ({"kernel": 4}, "kernel=4 must be odd"),
        ({"epochs": 0}, "epochs=0"),
        ({"batch": 0}, "batch=0"),
        ({"patience": -1}, "patience=-1"),
        ({"momentum": 1.0}, "momentum=1.0"),
        ({"momentum": -0.1}, "momentum=-0.1"),
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
        ({"patience": -2}, "patience=-2"),
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
    Split(shares=(0.9, 0.1, 0.0))
    Split(distance=0)
    Split(distance=20)
    Augment(shift=0.5, scale=0.9, turn=180, turned=0, colour=0.9, background=1, noise=128)


@pytest.mark.parametrize(
    "field", ["shift", "scale", "turn", "turned", "colour", "background", "noise"]
)
def test_changes_that_leave_no_picture_are_refused(field):
    for value in (-0.1, 200):
        with pytest.raises(RecipeError, match=f"augment.{field}"):
            Augment(**{field: value})


@pytest.mark.parametrize("flip", ["sideways", "", 2, [True], None])
def test_a_flip_along_no_known_axis_is_refused(flip):
    with pytest.raises(RecipeError, match="must be one of false, true, horizontal"):
        Augment(flip=flip)


@pytest.mark.parametrize(
    ("flip", "axes"),
    [("true", "x"), ("false", ""), ("horizontal", "x"), ("vertical", "y"), ("both", "xy")],
)
def test_flips_are_read_from_a_recipe_and_from_the_command_line(flip, axes):
    assert load("cone-snails", [f"augment.flip={flip}"]).augment.axes == axes
    assert Augment(flip=True).axes == "x"


def test_shares_and_pictures_that_cannot_be_are_refused():
    for shares in ((1.0, 0.0, 0.0), (0.0, 0.5, 0.5), (0.8, 0.3, -0.1), (0.5, 0.5)):
        with pytest.raises(RecipeError, match="three numbers above 0"):
            Split(shares=shares)
    for distance in (-1, 21):
        with pytest.raises(RecipeError, match=f"distance={distance} must lie between 0 and 20"):
            Split(distance=distance)
    for fields, message in (
        ({"height": 0}, "sides"),
        ({"thing": "("}, "not a regular expression"),
        ({"thing": "a"}, "no group"),
    ):
        with pytest.raises(RecipeError, match=message):
            Pictures(**fields)


@pytest.mark.parametrize(("given", "used"), [(-1, [0, 4]), (0, [0, 0]), (9, [9, 9])])
def test_patience_of_a_recipe_replaces_that_of_its_networks(given, used):
    networks = (NET, Network(name="b", maps=(4,), patience=4))
    recipe = PicturesRecipe(**BASE, networks=networks, patience=given)
    assert [network.patience for network in recipe.chosen()] == used


def test_epochs_and_only_change_what_is_trained():
    recipe = load("guitar-or-bass", ["only=T6,T1", "epochs=7"])
    assert [(network.name, network.epochs) for network in recipe.chosen()] == [("T1", 7), ("T6", 7)]


def test_networks_side_by_side_are_a_profile_of_the_recipes_that_compared_them():
    snails = load("cone-snails", ["profile=networks"]).chosen()
    dense = {name: one.network.dense for name, one in snails.items()}
    assert dense == {
        "600": (600,),
        "1024": (1024,),
        "2000": (2000,),
        "1024+600": (1024, 600),
        "1024 alone": (1024,),
    }
    assert [name for name, one in snails.items() if not one.metadata] == ["1024 alone"]
    assert {one.network.backbone for one in snails.values()} == {"xception"}
    birds = load("birds", ["profile=networks"]).chosen()
    assert {one.network.backbone for one in birds.values()} == set(birds)
    assert list(load("birds", ["profile=networks", "only=vgg19"]).chosen()) == ["vgg19"]
