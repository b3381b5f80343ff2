"""Names as words."""

import pytest

from training.pictures.dataset.words import singular, words


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("hot-dog", ("hot", "dog")),
        ("Two_DogsRunning03", ("two", "dog", "running")),
        ("NASALogo", ("nasa", "logo")),
        ("the picture of a cat", ("cat",)),
        ("Café crème", ("cafe", "creme")),
        ("king's-cup", ("king", "cup")),
        ("straßenbahn", ("strassenbahn",)),
        ("x-12_34", ()),
        ("日本", ()),
    ],
)
def test_a_name_is_cut_into_words(name, expected):
    assert words(name) == expected


@pytest.mark.parametrize(
    ("plural", "expected"),
    [("dogs", "dog"), ("boxes", "box"), ("cherries", "cherry"), ("churches", "church"),
     ("brushes", "brush"), ("glasses", "glass"), ("mice", "mouse"), ("houses", "house"),
     ("wolves", "wolf"), ("bus", "bus"), ("glass", "glass"), ("iris", "iris"), ("gas", "gas"),
     ("pies", "pie")],
)  # fmt: skip
def test_plurals_become_singular_and_what_only_looks_like_one_stays(plural, expected):
    assert singular(plural) == expected
