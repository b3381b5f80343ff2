"""Recipes: what is read, changed, refused."""

import pytest

from common.errors import NotFound
from models.store import DEFAULT_PATH, Store
from training.common.recipe import ALIASES, PIPELINES, RecipeError, load, pipeline


def test_the_shipped_recipe_is_read_whole():
    recipe = load("instruments")
    assert recipe.steps == "instruments"
    assert recipe.forest.components == 16
    assert len(recipe.network.channels) == len(recipe.network.strides)
    assert all(entry.keys() == {"source", "licence", "use"} for entry in recipe.provenance)


def test_what_is_gpl_does_not_train():
    recipe = load("instruments")
    assert not [font for font in recipe.material.fonts if "TimGM" in font]
    assert not [p for p in recipe.provenance if "GPL" in p["licence"] and "training" in p["use"]]


@pytest.mark.parametrize(
    ("change", "read", "value"),
    [
        ("network.epochs=3", lambda r: r.network.epochs, 3),
        ("network.rate=1", lambda r: r.network.rate, 1.0),
        ("material.fonts=a.sf2", lambda r: r.material.fonts, ("a.sf2",)),
        (f"network.strides={[[1, 2]] * 5}", lambda r: r.network.strides, ((1, 2),) * 5),
        ("holdout=vsco", lambda r: r.holdout, ("vsco",)),
        ("holdout=vsco, philharmonia", lambda r: r.holdout, ("vsco", "philharmonia")),
        ("data=/some/where=odd", lambda r: r.data, "/some/where=odd"),
        ("version=2", lambda r: r.version, "2"),
        ("evaluate=false", lambda r: r.evaluate, False),
    ],
)
def test_a_setting_can_be_changed(change, read, value):
    assert read(load("instruments", [change])) == value


def test_a_profile_is_a_set_of_changes_and_single_changes_win():
    quick = load("instruments", ["profile=quick"])
    assert quick.train.note < load("instruments").train.note
    assert load("instruments", ["train.note=77", "profile=quick"]).train.note == 77


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("network.epoch=3", "unknown setting epoch"),
        ("colour=red", "unknown setting colour"),
        ("network.epochs=many", "must be of type int"),
        ("evaluate=1", "must be of type bool"),
        ("steps=training.nothing", "must be one of instruments, sounds, picture-networks"),
        ("steps.deeper=1", "steps is not a section"),
        ("forest=1", "must be a section"),
        ("profile=slow", "no profile 'slow'; there is quick"),
        ("epochs", "is not key=value"),
    ],
)
def test_what_is_no_setting_is_refused_with_its_name(change, message):
    with pytest.raises(RecipeError, match=message):
        load("instruments", [change])


def test_a_recipe_of_ones_own_is_read_from_its_file(tmp_path):
    (tmp_path / "mine.toml").write_text('steps = "instruments"')
    with pytest.raises(RecipeError, match="material"):
        load(str(tmp_path / "mine.toml"))


def test_an_unknown_recipe_names_what_there_is():
    with pytest.raises(NotFound, match=r"there is .*instruments.*sounds"):
        load("instrumentz")


@pytest.mark.parametrize(
    "name", ["clip-art", "instruments", "instruments-forest", "instruments-net"]
)
def test_the_recipe_in_a_shipped_manifest_is_one_that_can_be_run(name, tmp_path):
    (tmp_path / "again.toml").write_text(Store(DEFAULT_PATH).load(name).manifest.origin["recipe"])
    recipe = load(str(tmp_path / "again.toml"))
    assert recipe.steps in PIPELINES
    assert callable(pipeline(recipe.steps).run)


@pytest.mark.parametrize("old", ALIASES)
def test_the_names_that_steps_had_are_read_as_those_they_have(old, tmp_path):
    base = {"instruments": "instruments", "sounds": "sounds", "picture-svm": "clip-art-svm"}
    base |= {"picture-networks": "clip-art", "picture-transfer": "birds"}
    (tmp_path / "mine.toml").write_text(f'base = "{base[ALIASES[old]]}"\nsteps = "{old}"')
    assert load(str(tmp_path / "mine.toml")).steps == ALIASES[old]
