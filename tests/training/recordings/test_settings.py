import pytest

from training.common.recipe import RecipeError, load
from training.recordings.settings import WindowSpec


def test_a_recipe_of_ones_own_says_only_what_differs(tmp_path):
    (tmp_path / "mine.toml").write_text(
        'base = "sounds"\nname = "mine"\n[windows]\nlength = 3.0\n[forest]\ntrees = 50\n'
    )
    recipe = load(str(tmp_path / "mine.toml"), ["collection.path=here"])
    assert (recipe.name, recipe.windows.length, recipe.windows.hop) == ("mine", 3.0, 1.0)
    assert (recipe.forest.trees, recipe.forest.components, recipe.collection.path) == (
        50,
        16,
        "here",
    )


def test_the_label_rule_is_told_in_words():
    assert WindowSpec(length=3, share=0.25).rule.startswith(
        "a label is on when it sounds in at least 0.25 of the 3-s window"
    )


@pytest.mark.parametrize(
    "change",
    [
        *("windows.length=0.5", "windows.length=15", "windows.share=1", "windows.hop=15"),
        *(
            "forest.components=26",
            "forest.trees=1",
            "forest.leaves=2",
            "forest.min_samples_split=2",
            "forest.rows=17",
        ),
        *(
            "network.members=1",
            "network.batch=1",
            "network.masks=1",
            "network.shift=0",
            "network.rate=1",
        ),
        *("collection.nothing=0", "collection.nothing=1"),
        *("seed=0", f"seed={2**32 - 1}", "quiet=0", "quiet=1", "jobs=1", "version=1"),
    ],
)
def test_bounds_hold(change):
    load("sounds", [change])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("windows.length=0.49", "must be from 0.5 to 15.0 s"),
        ("windows.length=15.1", "must be from 0.5 to 15.0 s"),
        ("windows.hop=0.009", "windows.hop=0.009"),
        ("windows.share=0", "above 0 and at most 1"),
        ("windows.share=1.01", "above 0 and at most 1"),
        ("windows.shortest=2.1", "windows.shortest=2.1"),
        ("split.shares=[0.5, 0.5]", "three parts that add up to 1"),
        ("split.shares=[0.5, 0.3, 0.3]", "three parts that add up to 1"),
        ("split.shares=[0, 0.5, 0.5]", "three parts that add up to 1"),
        (
            "collection.kind=zip",
            "must be one of folders, csv, audacity, musicnet, scores, mixtures",
        ),
        ("collection.longest=0.9", "from 1 to 3600 s"),
        ("collection.longest=3601", "from 1 to 3600 s"),
        ("collection.folder=x", "unknown setting folder"),
        ("collection.nothing=-0.1", "collection.nothing=-0.1 must be from 0 to 1"),
        ("collection.nothing=1.1", "collection.nothing=1.1 must be from 0 to 1"),
        ("collection.labels=a,b,a", "names 'a' twice"),
        ("forest.components=-1", "forest.components=-1 must be from 0 to 26"),
        ("forest.components=27", "forest.components=27 must be from 0 to 26"),
        ("forest.trees=0", "forest.trees=0 must be from 1 to 10000"),
        ("forest.leaves=1", "forest.leaves=1 must be 0 .no limit., or at least 2"),
        ("forest.min_samples_split=1", "forest.min_samples_split=1 must be at least 2"),
        ("forest.rows=16", "forest.rows=16 must be at least 17"),
        ("network.channels=", "a pair of strides for each layer"),
        ("network.channels=8", "a pair of strides for each layer"),
        ("network.strides=[[2, 2, 2]]", "must be a list of 2"),
        ("network.members=0", "network.members=0 must be at least 1"),
        ("network.epochs=0", "network.epochs=0 must be at least 1"),
        ("network.masks=1.1", "network.masks=1.1 must be from 0 to 1"),
        ("network.shift=-1", "network.shift=-1 must be at least 0"),
        ("network.rate=nan", "network.rate=nan must be from 1e-09 to 1"),
        ("network.decay=inf", "network.decay=inf must be at least 0"),
        ("network.depth_db=0", "network.depth_db=0.0 must be from 1 to 200"),
        ("seed=-1", "seed=-1 must be from 0 to"),
        (f"seed={2**32}", "must be from 0 to"),
        ("quiet=1.01", "quiet=1.01 must be from 0 to 1"),
        ("jobs=0", "jobs=0 must be at least 1"),
        ("version=x", "version='x' must be a positive integer"),
        ("version=0", "version='0' must be a positive integer"),
        ("steps=os.path", "must be one of instruments, sounds"),
        ("steps=training.nothing", "must be one of instruments, sounds"),
    ],
)
def test_what_cannot_be_is_refused(change, message):
    with pytest.raises(RecipeError, match=message):
        load("sounds", [change])


@pytest.mark.parametrize(
    ("text", "message"),
    [("base = 'sounds", "is not TOML"), ("seed = 1", "or set base = NAME of a shipped recipe")],
)
def test_a_file_that_is_no_recipe_is_refused(tmp_path, text, message):
    (tmp_path / "mine.toml").write_text(text)
    with pytest.raises(RecipeError, match=message):
        load(str(tmp_path / "mine.toml"))


def test_a_base_that_goes_in_a_circle_is_refused(tmp_path):
    for name, base in (("a", "b"), ("b", "a")):
        (tmp_path / f"{name}.toml").write_text(f'base = "{tmp_path / base}.toml"')
    with pytest.raises(RecipeError, match="in a circle"):
        load(str(tmp_path / "a.toml"))
