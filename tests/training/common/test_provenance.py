"""What an artefact says of its making is enough to make it again."""

import re
import subprocess
from dataclasses import replace

import pytest

from training.common.provenance import commit, origin, to_toml
from training.common.recipe import load


@pytest.mark.parametrize(
    "changes", [[], ["profile=quick", "seed=7", "data=/elsewhere", "network.rate=1e-5"]]
)
def test_the_recipe_text_is_the_recipe(tmp_path, changes):
    recipe = load("instruments", changes)
    (tmp_path / "again.toml").write_text(to_toml(recipe))
    again = load(str(tmp_path / "again.toml"))
    assert again == replace(recipe, data="", profile="", profiles={})


def test_words_in_quotes_and_other_letters_survive(tmp_path):
    recipe = replace(
        load("instruments"), least={'a "piano"': 0.5, "flûte": 0.25}, holdout=('x\\"y', "ü")
    )
    (tmp_path / "again.toml").write_text(to_toml(recipe))
    again = load(str(tmp_path / "again.toml"))
    assert (again.least, again.holdout) == (recipe.least, recipe.holdout)


def test_the_origin_names_recipe_seed_commit_and_python():
    told = origin(load("instruments", ["seed=7"]))
    assert told["seed"] == 7
    assert "[network]" in told["recipe"]
    assert told["python"].startswith("3.")
    assert told["commit"] == commit()


def test_the_commit_is_one_of_the_repository():
    if not (said := commit()):
        pytest.skip("not a git checkout")
    assert re.fullmatch(r"[0-9a-f]{40}(-changed)?", said)
    subprocess.run(["git", "cat-file", "-e", said.removesuffix("-changed")], check=True)
