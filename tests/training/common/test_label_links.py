"""Where a label can be looked up, from the templates of a recipe."""

import pytest

from models.manifest import Label
from training.common.label_links import are_templates, links_of
from training.common.recipe import RecipeError, load

WIKIPEDIA = "https://en.wikipedia.org/wiki/{label}"


def test_a_label_is_written_into_the_url_whatever_it_contains():
    links = links_of({"Wikipedia": WIKIPEDIA}, "Conus geographus/ö?#")
    assert links == {"Wikipedia": WIKIPEDIA.format(label="Conus%20geographus%2F%C3%B6%3F%23")}
    assert Label(name="a", threshold=0.5, links=links).links == links


@pytest.mark.parametrize(
    "links",
    [
        {"Wikipedia": "https://en.wikipedia.org/wiki/"},
        {"Wikipedia": "wiki/{label}"},
        {"Wikipedia": "javascript:{label}"},
        {"": WIKIPEDIA},
        {str(n): WIKIPEDIA for n in range(6)},
    ],
)
def test_what_gives_no_link_is_rejected_before_a_training(links):
    assert not are_templates(links)
    for recipe in ("sounds", "clip-art", "instruments"):
        with pytest.raises(RecipeError, match="links="):
            load(recipe, [], found=[("links", links)])


def test_a_recipe_has_none_or_up_to_five_links():
    assert load("sounds").links == {}
    links = {str(n): WIKIPEDIA for n in range(5)}
    assert load("sounds", [], found=[("links", links)]).links == links
