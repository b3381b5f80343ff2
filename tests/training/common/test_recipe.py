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
        ("steps=training.nothing", "must be one of instruments, sounds, sound-backbone"),
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


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("criterion=mse", "forest.criterion='mse' must be gini or entropy or log_loss"),
        ("class_weight=heavy", "forest.class_weight='heavy' must be"),
        ("max_features=auto", "forest.max_features='auto' must be sqrt, log2, a number"),
        ("max_features=17", "a number of features up to 16"),
        ("max_features=0", "forest.max_features=0 must be"),
        ("max_features=1.5", "forest.max_features=1.5 must be"),
        ("max_features=nan", "forest.max_features=nan must be"),
        ("min_samples_leaf=0", "forest.min_samples_leaf=0 must be at least 1"),
        ("min_samples_leaf=1.0", "forest.min_samples_leaf=1.0 must be below 1"),
        ("min_samples_split=1", "forest.min_samples_split=1 must be at least 2"),
        ("min_samples_split=1.1", "forest.min_samples_split=1.1 must be at least 2, or a share"),
        ("max_samples=-1", "forest.max_samples=-1 must be at least 0"),
        ("leaves=1", r"forest.leaves=1 must be 0 \(no limit\), or at least 2"),
        ("max_depth=-1", "forest.max_depth=-1 must be at least 0"),
        ("bootstrap=maybe", "forest.bootstrap='maybe' must be of type bool"),
        ("components=27", "forest.components=27 must be from 0 to 26"),
        ("min_weight_fraction_leaf=0.6", "must be from 0 to 0.5"),
    ],
)
def test_a_setting_of_the_forest_that_cannot_be_is_named(change, message):
    with pytest.raises(RecipeError, match=message):
        load("musicnet", [f"forest.{change}"])


@pytest.mark.parametrize(
    "change",
    [
        "max_features=16", "max_features=1", "max_features=1.0", "min_samples_leaf=0.5",
        "min_samples_split=1.0", "min_samples_split=2", "max_samples=1.0", "leaves=2",
        "components=26", "components=0", "class_weight=balanced_subsample",
    ],
)  # fmt: skip
def test_settings_of_the_forest_at_their_limits_are_read(change):
    key, value = change.split("=")
    assert str(getattr(load("musicnet", [f"forest.{change}"]).forest, key)) == value


@pytest.mark.parametrize("change", ["oob_score=true", "max_samples=0.5"])
def test_what_is_drawn_with_replacement_goes_with_bootstrap(change):
    with pytest.raises(RecipeError, match=r"go with forest\.bootstrap=true"):
        load("musicnet", ["forest.bootstrap=false", f"forest.{change}"])
