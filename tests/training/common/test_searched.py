"""The best of `timbre search` as changes of a recipe: every setting, or a refusal by name."""

import json

import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import LinearSVC

from training.common.recipe import RecipeError, load
from training.common.searched import changes, check_match, config_of, read_best
from training.sound_models.estimators import make


def best_of(recipe, **settings):
    config = config_of(recipe)
    forest = RandomForestClassifier(**settings)
    return {
        "estimator": "RandomForestClassifier",
        "settings": forest.get_params(),
        "components": recipe.forest.components,
        "features": {
            "window_s": config.window / config.sample_rate,
            "rate": config.sample_rate,
            "fingerprint": config.fingerprint("features"),
        },
    }


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"n_estimators": 200, "max_depth": 75, "min_samples_split": 20, "oob_score": True},
        {"max_features": None, "criterion": "entropy", "min_samples_leaf": 0.01},
        {"bootstrap": False, "max_leaf_nodes": 30, "class_weight": "balanced", "ccp_alpha": 0.1},
        {"max_samples": 0.5, "max_features": 3, "min_impurity_decrease": 0.01},
    ],
)
def test_every_setting_of_a_searched_forest_is_that_of_the_recipe(settings):
    best = best_of(load("musicnet"), **settings)
    recipe = load("musicnet", found=changes(best))
    check_match(best, recipe)
    trained = RandomForestClassifier(**recipe.forest.parameters()).get_params()
    wanted = RandomForestClassifier(**settings).get_params()
    if wanted["max_features"] is None:
        wanted["max_features"] = 1.0
    assert trained == wanted
    assert recipe.models == ("forest",)


@pytest.mark.parametrize("components", [0, 8])
@pytest.mark.parametrize(
    ("estimator", "name"),
    [
        (KNeighborsClassifier(3, weights="distance"), "neighbours"),
        (HistGradientBoostingClassifier(max_leaf_nodes=None, learning_rate=0.2), "gradient-boost"),
        (LinearSVC(C=0.5), "linear-svm"),
    ],
)
def test_the_best_of_another_estimator_is_trained_as_it_was_searched(estimator, name, components):
    best = best_of(load("sounds")) | {
        "estimator": type(estimator).__name__,
        "settings": estimator.get_params(),
        "components": components,
    }
    recipe = load("sounds", found=changes(best))
    check_match(best, recipe)
    (model,) = recipe.models
    assert model.startswith(name)
    made = make(model, recipe.estimators[model], labels=1, seed=0)
    assert len(made.steps) == (3 if components else 1), "a grid without components has no scaler"
    free = {"n_jobs", "random_state"}
    found = made.steps[-1][1].get_params()
    assert {k: v for k, v in found.items() if k not in free} == {
        k: v for k, v in estimator.get_params().items() if k not in free
    }


def test_a_change_of_ones_own_is_above_what_was_searched():
    found = changes(best_of(load("sounds"), n_estimators=77))
    recipe = load("sounds", ["forest.trees=5", "profile=quick"], found=found)
    assert (recipe.forest.trees, recipe.forest.leaves) == (5, 0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"components": 8}, "of 8 components, the recipe of 16 components: --set forest.comp"),
        ({"components": 0}, "of all features without PCA, the recipe of 16 components"),
        ({"features": None}, "does not say what its features are"),
        ({"estimator": "SVC"}, "the search is of SVC; a recipe trains RandomForestClassifier"),
        (
            {"features": {"window_s": 3.0, "rate": 22_050, "fingerprint": ""}},
            "windows of 3 s at 22050 Hz, the recipe of 2 s at 22050 Hz: --set windows.length=3",
        ),
        (
            {"features": {"window_s": 2.0, "rate": 22_050, "fingerprint": "other"}},
            "features of another version",
        ),
    ],
)
def test_a_search_of_something_else_is_refused_by_name(change, message):
    recipe = load("sounds")
    best = best_of(recipe) | change
    with pytest.raises(RecipeError, match=message):
        check_match(best, load("sounds", found=changes(best)))


def test_a_search_goes_with_recipes_of_forests_only():
    with pytest.raises(RecipeError, match="a recipe that has a section \\[forest\\]"):
        check_match(best_of(load("sounds")), load("guitar-or-bass"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "is no result of `timbre search`: .*No such file"),
        ("{", "is no result of `timbre search`"),
        ("[]", "is no result of `timbre search`"),
        (json.dumps({"params": {}}), "is of an older version: run `timbre search` again"),
    ],
)
def test_what_is_no_result_of_a_search_is_refused(tmp_path, text, message):
    if text is not None:
        (tmp_path / "best.json").write_text(text)
    with pytest.raises(RecipeError, match=message):
        read_best(tmp_path)
