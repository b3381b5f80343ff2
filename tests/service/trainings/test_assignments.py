"""Settings of trainings: what is passed on, and that no text leads out of the folder."""

import tomllib

import pytest

from common.errors import Unprocessable
from service.trainings.assignments import MAX_KEY, MAX_SETTINGS, MAX_VALUE, OWN, assignments
from training.common.recipe import load


@pytest.fixture
def folder(tmp_path):
    root = (tmp_path / "collections").resolve()
    (root / "birds" / "garden" / "robin").mkdir(parents=True)
    return root


def test_values_become_what_the_recipe_reads(folder):
    settings = {
        "collection.path": "birds",
        "collection.background": ["nothing", 'a "quoted", name'],
        "forest.trees": 10,
        "network.rate": 1e-3,
        "network.strides": [[2, 2], [2, 1]],
        "network.channels": [4, 8],
        "provenance": [{"source": "own", "licence": "CC0", "use": "training"}],
    }
    recipe = load("sounds", assignments(settings, folder))
    assert recipe.collection.path == "birds"
    assert recipe.collection.background == ("nothing", 'a "quoted", name')
    assert (recipe.forest.trees, recipe.network.rate) == (10, 1e-3)
    assert [list(pair) for pair in recipe.network.strides] == [[2, 2], [2, 1]]
    assert recipe.provenance == ({"source": "own", "licence": "CC0", "use": "training"},)


def test_true_and_false_are_those_of_toml(folder):
    (text,) = assignments({"augment.flip": True}, folder)
    assert tomllib.loads(text.replace("augment.", "")) == {"flip": True}


@pytest.mark.parametrize(
    "value",
    [
        "/etc/passwd",
        "..",
        "../collections/birds",
        "birds/../../x",
        "birds/../birds",
        "~",
        "~root/x",
        " /etc",
        "'/etc'",
        "birds,/etc",
        "birds, ../x",
        "..\\x",
        "birds\\..\\..\\x",
        ["birds", "/etc"],
        [["birds"], ["~"]],
        {"path": "/etc"},
        [{"name": "a", "weights": "../x"}],
    ],
)
def test_no_text_leads_out_of_the_folder(folder, value):
    with pytest.raises(Unprocessable, match="is outside of the folder of collections"):
        assignments({"collection.path": value}, folder)


@pytest.mark.parametrize(
    "value", ["birds", "birds/garden", "a/b", "", "0.5", "O'Brien", "名前", "a.b"]
)
def test_texts_that_stay_inside_pass(folder, value):
    assert assignments({"collection.path": value}, folder) == [f"collection.path={value}"]


@pytest.mark.parametrize("value", ["[1]", ' {path = "/etc"}', '["/etc"]'])
def test_lists_as_text_are_rejected(folder, value):
    with pytest.raises(Unprocessable, match="must be sent as a list or object of JSON"):
        assignments({"collection.path": value}, folder)


@pytest.mark.parametrize("value", ["a\nb", "a\0b", "a\x7fb", "a\u202eb", "\ud800"])
def test_unprintable_texts_are_rejected(folder, value):
    with pytest.raises(Unprocessable, match="unprintable characters"):
        assignments({"collection.path": value}, folder)


@pytest.mark.parametrize("value", [None, float("nan"), float("inf")])
def test_values_that_toml_lacks_are_rejected(folder, value):
    with pytest.raises(Unprocessable, match="must be text, a number, true, false or a list"):
        assignments({"forest.trees": value}, folder)


def test_links_that_lead_out_are_rejected_wherever_they_lie(folder, tmp_path):
    (tmp_path / "outside").mkdir()
    (folder / "inner").symlink_to(folder / "birds")
    assert assignments({"collection.path": "inner"}, folder)
    (folder / "birds" / "garden" / "robin" / "link.wav").symlink_to(tmp_path / "outside" / "x.wav")
    with pytest.raises(Unprocessable, match=r"has a link to outside .*link\.wav"):
        assignments({"collection.path": "birds"}, folder)
    (folder / "away").symlink_to(tmp_path / "outside")
    with pytest.raises(Unprocessable, match="is outside of the folder"):
        assignments({"collection.path": "away"}, folder)
    with pytest.raises(Unprocessable, match="is outside of the folder"):
        assignments({"collection.path": "away/x"}, folder)


@pytest.mark.parametrize("key", [*OWN, "profiles.x", "data.x"])
def test_settings_of_the_server_cannot_be_changed(folder, key):
    with pytest.raises(Unprocessable, match="cannot be set here"):
        assignments({key: "x"}, folder)


@pytest.mark.parametrize("key", ["", "a b", "a=b", ".a", "a.", "a..b", "--out", "é", "a\n"])
def test_keys_are_words_joined_by_dots(folder, key):
    with pytest.raises(Unprocessable, match="must be words joined by dots"):
        assignments({key: 1}, folder)


def test_number_and_size_of_settings_are_bounded(folder):
    assert len(assignments({f"k{n}": 1 for n in range(MAX_SETTINGS)}, folder)) == MAX_SETTINGS
    with pytest.raises(Unprocessable, match=f"at most {MAX_SETTINGS} are accepted"):
        assignments({f"k{n}": 1 for n in range(MAX_SETTINGS + 1)}, folder)
    assert assignments({"k" * MAX_KEY: 1}, folder)
    with pytest.raises(Unprocessable, match="characters at most"):
        assignments({"k" * (MAX_KEY + 1): 1}, folder)
    assert assignments({"k": "a," * (MAX_VALUE // 2)}, folder)
    with pytest.raises(Unprocessable, match=f"at most {MAX_VALUE} are accepted"):
        assignments({"k": "a," * (MAX_VALUE // 2) + "a"}, folder)
    deep = [[[[[["a"]]]]]]
    assert assignments({"k": deep}, folder)
    with pytest.raises(Unprocessable, match="lists within each other"):
        assignments({"k": [deep]}, folder)


def test_names_in_objects_are_words(folder):
    with pytest.raises(Unprocessable, match="must be a word"):
        assignments({"k": {"a = 1, b": 2}}, folder)
