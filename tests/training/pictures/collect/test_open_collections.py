"""Searches in open collections: what they answer, and what is made of it."""

import json
from urllib.parse import parse_qs, urlsplit

import pytest

from training.common.recipe import RecipeError
from training.pictures.collect.fetcher import Fetched, FetchError
from training.pictures.collect.open_collections import CollectionSearch


def openverse(count, *, pages=3, licence="by"):
    results = [
        {"id": str(i), "title": f"Robin {i}", "creator": "Ann",
         "foreign_landing_url": f"https://x.example/{i}", "url": f"https://i.example/{i}.jpg",
         "license": licence, "license_version": "4.0", "license_url": "https://cc.example/by"}
        for i in range(count)
    ]  # fmt: skip
    return {
        "result_count": 999,
        "page_count": pages,
        "page_size": 20,
        "page": 1,
        "results": results,
    }


def commons(count, *, more=True, licence="CC BY-SA 3.0", mime="image/jpeg"):
    def value(text):
        return {"value": text, "source": "commons-desc-page"}

    pages = {
        str(100 - i): {
            "title": f"File:Robin {i}.jpg", "index": i, "ns": 6,
            "imageinfo": [{
                "url": f"https://u.example/{i}.jpg", "mime": mime,
                "thumburl": f"https://u.example/640px-{i}.jpg",
                "descriptionurl": f"https://c.example/File:{i}",
                "extmetadata": {"Artist": value('<a href="//u">Ann <b>Lee</b></a>'),
                                "LicenseShortName": value(licence),
                                "LicenseUrl": value("https://cc.example/by-sa")},
            }],
        }
        for i in range(count)
    }  # fmt: skip
    return {"query": {"pages": pages}, **({"continue": {"gsroffset": 50}} if more else {})}


def read(search, answer, item=None):
    item = item or search.start()[0]
    body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
    found = search.read(item, Fetched(item.url, "application/json", "utf-8", body))
    return [one for one in found if one.kind == "picture"], [
        one for one in found if one.kind == "page"
    ]


def search(collection="openverse", **changes):
    return CollectionSearch(
        **{"collection": collection, "queries": {"robin": "european robin"}, "count": 45, **changes}
    )


def test_each_query_asks_for_what_may_be_used():
    asked = parse_qs(urlsplit(search().start()[0].url).query)
    assert asked["q"] == ["european robin"]
    assert asked["license"] == ["cc0,pdm,by,by-sa"]
    assert asked["page_size"] == ["20"]
    asked = parse_qs(
        urlsplit(search("commons", url="http://127.0.0.1:1/api.php").start()[0].url).query
    )
    assert asked["gsrsearch"] == ["filetype:bitmap european robin"]
    assert asked["gsrlimit"] == ["45"]
    assert search().start()[0].url.startswith("https://api.openverse.org/v1/images/?")
    assert (
        search("commons", url="http://127.0.0.1:1/api.php")
        .start()[0]
        .url.startswith("http://127.0.0.1:1/api.php?")
    )


@pytest.mark.parametrize(
    ("kind", "category", "keywords"),
    [
        ("", None, "filetype:bitmap"),
        ("photograph", ["photograph"], 'filetype:bitmap filemime:"image/jpeg"'),
        ("clip art", ["illustration"], "filetype:drawing"),
    ],
)
def test_kinds_of_pictures_are_asked_for_as_each_collection_names_them(kind, category, keywords):
    first, second = (
        parse_qs(urlsplit(search(name, kind=kind).start()[0].url).query)
        for name in ("openverse", "commons")
    )
    assert first.get("category") == category
    assert second["gsrsearch"] == [f"{keywords} european robin"]


def test_drawings_of_commons_are_taken_as_it_renders_them():
    answer = commons(2, mime="image/svg+xml")
    del next(iter(answer["query"]["pages"].values()))["imageinfo"][0]["thumburl"]
    pictures, _ = read(search("commons", kind="clip art"), answer)
    assert [one.url for one in pictures] == ["https://u.example/640px-1.jpg"]


@pytest.mark.parametrize(
    ("collection", "answer", "licence"),
    [("openverse", openverse(2), "by 4.0"), ("commons", commons(2), "CC BY-SA 3.0")],
)
def test_pictures_keep_author_licence_and_page(collection, answer, licence):
    pictures, _ = read(search(collection), answer)
    assert len(pictures) == 2
    about = pictures[0].about
    assert about["author"] == {"openverse": "Ann", "commons": "Ann Lee"}[collection]
    assert about["licence"] == licence
    assert about["licence_url"].startswith("https://cc.example/by")
    assert about["title"].startswith("Robin 0")
    assert about["page"]
    assert pictures[0].path == ("robin",)
    assert search(collection).label(pictures[0].path) == "robin"


def test_pages_are_asked_until_there_are_enough():
    one = search()
    pictures, (second,) = read(one, openverse(20))
    assert (len(pictures), second.number) == (20, 2)
    assert parse_qs(urlsplit(second.url).query)["page"] == ["2"]
    _, (third,) = read(one, openverse(20), second)
    pictures, more = read(one, openverse(20, pages=9), third)
    assert (len(pictures), more) == (5, [])


@pytest.mark.parametrize(("count", "more"), [(50, 0), (51, 1)])
def test_commons_is_asked_for_a_second_page_when_one_does_not_hold_enough(count, more):
    pictures, pages = read(search("commons", count=count), commons(50))
    assert (len(pictures), len(pages)) == (50, more)
    assert all("gsroffset=50" in page.url for page in pages)


def test_there_is_no_page_after_the_last():
    assert read(search(), openverse(20, pages=1))[1] == []
    assert read(search("commons", count=500), commons(50, more=False))[1] == []
    assert read(search("commons"), {"batchcomplete": ""}) == ([], [])


@pytest.mark.parametrize(
    ("licence", "wanted"),
    [("CC BY-SA 4.0", True), ("CC BY 2.0 de", True), ("CC0", True), ("Public domain", True),
     ("PD-US", True), ("CC BY-NC 4.0", False), ("cc-by-nd", False), ("GFDL", False), ("", False),
     ("Fair use", False)],
)  # fmt: skip
def test_only_licences_that_were_asked_for_are_taken(licence, wanted):
    assert bool(read(search("commons"), commons(1, licence=licence))[0]) is wanted


def test_what_is_no_picture_of_pixels_is_passed_over():
    assert read(search("commons"), commons(3, mime="image/svg+xml"))[0] == []


@pytest.mark.parametrize(
    "body",
    [
        b"<html>",
        b"[]",
        b"{}",
        b'{"results": [{"id": 1}]}',
        b"null",
        b'{"results": [], "page_count": "x"}',
    ],
)
def test_an_answer_that_is_none_is_refused(body):
    with pytest.raises(FetchError, match="not a response of openverse"):
        read(search(), body)


@pytest.mark.parametrize(
    "wrong", [{"collection": "google"}, {"queries": {}}, {"count": 0}, {"kind": "clipart"}]
)
def test_a_search_that_cannot_be_asked_is_refused(wrong):
    with pytest.raises(RecipeError):
        search(**wrong)
