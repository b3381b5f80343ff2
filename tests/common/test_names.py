"""Names of labels and files: one form for all, and words for those that cannot be used."""

import unicodedata

import pytest

from common.names import alike, check_name, difference, part_named, tidy


def test_names_lose_blanks_and_decomposed_letters():
    assert tidy(" Fl\u00a0o\u0308te\u200b \t") == "Fl öte"
    assert tidy(unicodedata.normalize("NFD", "Große Flöte")) == "Große Flöte"


@pytest.mark.parametrize(
    "name", ["Flöte", "cat", "名前", "O'Brien & <b>", "naïve café", "Ångström"]
)
def test_good_names_pass(name):
    assert check_name(name) == ""


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Fl\udcf6te", "is not UTF-8"),
        ("a\nb", "control characters"),
        ("FlÃ¶te", "'FlÃ¶te' for 'Flöte'"),
        ("Fl├╢te", "'Fl├╢te' for 'Flöte'"),
    ],
)
def test_spoilt_names_are_refused(name, said):
    assert said in check_name(name)


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("train", "train"),
        ("Training Set", "train"),
        ("TRAIN_IMAGES", "train"),
        ("train2017", "train"),
        ("seg_train", "train"),
        ("val", "valid"),
        ("valid", "valid"),
        ("Validation", "valid"),
        ("dev", "valid"),
        ("val2017", "valid"),
        ("test", "test"),
        ("test-data", "test"),
        ("test1", "test"),
        ("test tube", ""),
        ("steam train", ""),
        ("train_test", ""),
        ("trained", ""),
        ("évaluation", ""),
        ("", ""),
        ("2017", ""),
    ],
)
def test_names_of_parts(name, part):
    assert part_named(name) == part


@pytest.mark.parametrize(
    ("one", "other", "said"),
    [
        ("Robin", "robin", "differ only by case"),
        ("caf\u00e9", "cafe\u0301", "composed in one and decomposed in the other"),
        ("1", "\uff11", "differ only by blanks or the form of their letters"),
    ],
)
def test_the_difference_of_names_that_are_alike_is_said(one, other, said):
    assert alike(one) == alike(other)
    assert said in difference(one, other)
