"""A crawl through a small shop on loopback, and through stand-ins of open collections."""

import asyncio
import csv
import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import web
from PIL import Image

from tests.training.pictures.collect.test_open_collections import commons, openverse
from tests.training.pictures.helpers.shops import TheShop, page, product, served
from training.common.recipe import RecipeError
from training.pictures.collect import crawl
from training.pictures.collect.fetcher import FetchSettings
from training.pictures.collect.shop import Select, Shop

MANNERS = FetchSettings(rate=1000, backoff=0.01, timeout=10, tries=2, picture_bytes=200_000)
SELECT = Select(categories=".tree a", products=".product", title="h3")


@pytest.fixture
def pictures(draw, encode):
    drawn = {f"{i}.png": encode(draw(i)) for i in range(1, 8)}
    return drawn | {
        "copy-of-1.png": drawn["1.png"],
        "blank.png": encode(Image.new("RGB", (50, 50), "white")),
        "cut.png": drawn["4.png"][:90],
        **{f"day{i}.png": encode(draw(100 + i)) for i in range(30)},
    }


def quiet(done, total):
    pass


def recipe(url, *, bounds=None, manners=MANNERS, **changes):
    labels = {"guitar": "guitar", "electric": "guitar", "bass": "bass"}
    shop = {
        "root": url,
        "allow": ("guitar", "electric", "bass"),
        "labels": labels,
        "select": SELECT,
        "ignore": ("sid",),
    }
    return crawl.Crawl(
        source=Shop(**{**shop, **changes}), bounds=bounds or crawl.Limits(), manners=manners
    )


async def test_the_shop_is_walked_once_and_every_trap_is_named(pictures, tmp_path):
    shop = TheShop(pictures)
    shop.fail["/img/7.png"] = 1
    shop.fail["/c/bass"] = 1
    async with served(shop.answer) as url:
        steps, waiting = await crawl.run_crawl(recipe(url), tmp_path, quiet)
    result = {step["url"].removeprefix(url): step["result"] for step in steps}
    kept = {
        step["url"].removeprefix(url): step["file"].split("/")[1]
        for step in steps
        if "file" in step
    }
    assert waiting == 0
    assert kept == {
        "/img/1.png": "guitar", "/img/2.png": "guitar",
        "/img/5.png": "bass", "/moved/6.png": "bass", "/img/7.png": "bass",
    }  # fmt: skip
    assert result["/img/blank.png"] == "an empty picture"
    assert result["/img/gone.png"] == "status 404"
    assert result["/img/copy-of-1.png"].startswith(
        "the same picture as pictures/guitar/first-guitar-"
    )
    assert result["/img/page.html"] == "text/html instead of a picture"
    assert result["/img/huge.png"] == "more than 200,000 bytes"
    assert result["/private/3.png"] == "robots.txt forbids it"
    assert "is not allowed: add it to `hosts`" in result["http://127.0.0.1:9/4.png"]
    assert result["/img/cut.png"]
    assert result["/ring/a"] == "more than 5 redirects"
    assert "/c/drums" not in result
    assert not any("calendar" in path for path in shop.asked)
    twice = {path for path, count in shop.asked.items() if count > 1}
    assert twice == {"/img/7.png", "/c/bass"}


async def test_pictures_are_kept_as_they_came_with_where_they_came_from(pictures, tmp_path):
    shop = TheShop(pictures)
    async with served(shop.answer) as url:
        await crawl.run_crawl(recipe(url), tmp_path, quiet)
    lines = [json.loads(line) for line in (tmp_path / "provenance.jsonl").read_text().splitlines()]
    lazy = next(line for line in lines if line["title"] == "Lazy")
    assert lazy["url"] == f"{url}/img/2.png"
    assert lazy["page"] == f"{url}/c/guitars"
    assert lazy["path"] == ["Guitars"]
    assert (tmp_path / lazy["file"]).read_bytes() == pictures["2.png"]
    assert lazy["sha256"][:10] in lazy["file"]


@pytest.mark.parametrize(
    ("select", "linked"),
    [({}, (2, 3, 12)), ({"pages": ".pages a"}, (2, 3, 12)), ({"next": ".pages a"}, range(1, 13))],
)
async def test_every_numbered_page_of_results_is_crawled_once(select, linked, pictures, tmp_path):
    async def answer(request):
        shop.asked[request.path_qs] += 1
        if request.path != "/":
            return shop.found(request)
        number = int(request.query.get("page", 1))
        links = "".join(f"<a href='/?page={page}'>{page}</a>" for page in linked)
        here = product(f"Day {number}", f"/img/day{number}.png")
        return page(f"{here}<div class=pages>{links}</div>")

    shop = TheShop(pictures)
    chosen = Select(categories=".tree a", products=".product", **select)
    async with served(answer) as url:
        steps, waiting = await crawl.run_crawl(recipe(url, select=chosen), tmp_path, quiet)
    assert waiting == 0
    assert sum("file" in step for step in steps) == 12
    assert all(shop.asked[f"/?page={number}"] == 1 for number in range(2, 13))


async def test_a_calendar_without_end_ends_at_the_depth(pictures, tmp_path):
    shop = TheShop(pictures)
    async with served(shop.answer) as url:
        _, waiting = await crawl.run_crawl(
            recipe(url, allow=("calendar",), depth=4), tmp_path, quiet
        )
    assert waiting == 0
    assert sum(path.startswith("/calendar") for path in shop.asked) == 4


@pytest.mark.parametrize(
    ("bounds", "asked"), [({"pages": 3}, "/calendar"), ({"pictures": 2}, "/img/day")]
)
async def test_a_bound_stops_the_crawl_and_a_higher_one_goes_on(pictures, tmp_path, bounds, asked):
    shop = TheShop(pictures)
    (kind, most), low = *bounds.items(), crawl.Limits(**bounds)
    async with served(shop.answer) as url:
        steps, waiting = await crawl.run_crawl(
            recipe(url, allow=("cal",), depth=9, bounds=low), tmp_path, quiet
        )
        assert waiting == 1 if kind == "pages" else waiting > 0
        assert sum(step["kind"] == kind[:-1] for step in steps) == most
        _, waiting = await crawl.run_crawl(recipe(url, allow=("cal",), depth=9), tmp_path, quiet)
    assert waiting == 0
    assert sum(path.startswith(asked) for path in shop.asked) == 9
    assert max(shop.asked[path] for path in shop.asked if path.startswith(asked)) == 1


async def test_a_picture_that_stands_for_none_can_be_named(pictures, tmp_path):
    import hashlib

    empty = (hashlib.sha256(pictures["1.png"]).hexdigest(),)
    async with served(TheShop(pictures).answer) as url:
        steps, _ = await crawl.run_crawl(
            recipe(url, bounds=crawl.Limits(empty=empty)), tmp_path, quiet
        )
    assert {step["result"] for step in steps if step["url"].endswith("/1.png")} == {
        "an empty picture"
    }


async def test_slow_pages_are_left_and_tried_again_by_the_next_crawl(pictures, tmp_path):
    shop = TheShop(pictures)
    shop.slow = {"/c/electric": 2.5}
    async with served(shop.answer) as url:
        steps, _ = await crawl.run_crawl(
            recipe(url, manners=replace(MANNERS, timeout=1)), tmp_path, quiet
        )
        assert "TimeoutError, after 2 tries" in {step["result"] for step in steps}
        shop.slow = {}
        steps, _ = await crawl.run_crawl(recipe(url), tmp_path, quiet)
    assert {step["result"] for step in steps if step["url"].endswith("/electric")} == {"ok"}
    assert shop.asked["/c/electric"] == 3
    assert shop.asked["/img/5.png"] == 1


RECIPE = """
[shop]
root = "URL"
allow = ["calendar"]
depth = 12
[shop.select]
categories = ".tree a"
products = ".product"
[manners]
rate = 1000.0
"""


async def test_killed_and_called_again_it_goes_on_without_asking_twice(pictures, tmp_path):
    shop = TheShop(pictures)
    shop.slow = {"/calendar": 0.1}
    async with served(shop.answer) as url:
        (tmp_path / "r.toml").write_text(textwrap.dedent(RECIPE).replace("URL", url))
        code = "import sys; from training.pictures.collect.crawl import main; "
        code += "sys.exit(main(sys.argv[1:]))"
        command = [sys.executable, "-c", code, str(tmp_path / "r.toml"), str(tmp_path / "out")]
        process = await asyncio.create_subprocess_exec(
            *command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 40
        while shop.asked["/calendar?day=4"] == 0:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
        await process.wait()
        assert shop.asked["/calendar?day=11"] == 0
        ended = await asyncio.to_thread(
            subprocess.run, command, check=False, capture_output=True, text=True
        )
    assert ended.returncode == 0, ended.stderr
    assert "12 pictures in" in ended.stdout
    again = {
        path: count for path, count in shop.asked.items() if count > 1 and path != "/robots.txt"
    }
    assert len(again) <= 1
    assert max(again.values(), default=2) == 2
    assert len(list((tmp_path / "out" / "pictures").rglob("*.png"))) == 12
    assert (tmp_path / "out" / "index.html").exists()


@pytest.mark.parametrize("collection", ["openverse", "commons"])
async def test_a_search_brings_pictures_with_credits(pictures, tmp_path, collection):
    async def answer(request):
        host = f"http://{request.host}"
        if request.path == "/robots.txt":
            return web.Response(text="User-agent: *\nDisallow: /api\n")
        if request.path == "/api":
            text = json.dumps(
                openverse(3, pages=1) if collection == "openverse" else commons(3, more=False)
            )
            for elsewhere in ("https://i.example", "https://u.example"):
                text = text.replace(elsewhere, host)
            return web.Response(text=text, content_type="application/json")
        number = request.path.rsplit("/", 1)[-1].removeprefix("640px-").removesuffix(".jpg")
        return web.Response(body=pictures[f"{int(number) + 1}.png"], content_type="image/png")

    async with served(answer) as url:
        path = tmp_path / "r.toml"
        path.write_text(
            f"[search]\ncollection = '{collection}'\nurl = '{url}/api'\n"
            "queries = { robin = 'a bird' }\n[manners]\nrate = 1000.0\n"
        )
        assert await asyncio.to_thread(crawl.main, [str(path), str(tmp_path / "out")]) == 0
    with (tmp_path / "out" / "credits.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3
    assert all(row["licence"] and row["author"].startswith("Ann") and row["page"] for row in rows)
    assert sorted((tmp_path / "out" / row["file"]).read_bytes() for row in rows) == sorted(
        pictures[f"{i}.png"] for i in (1, 2, 3)
    )
    assert {row["file"].split("/")[1] for row in rows} == {"robin"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", r"exactly one of \[shop\] and \[search\]"),
        ("[shop]\nroot = 'x'\n[search]\n", r"exactly one of \[shop\] and \[search\]"),
        ("[shop]\nroot = 'x'", "select"),
        ("[shop]\nroot = 1\n[shop.select]\ncategories='a'\nproducts='b'", "must be of type str"),
        ("[shop]\nrooot = 'x'", "unknown setting rooot"),
        (
            "[shop]\nroot = 'shop.example'\n[shop.select]\ncategories='a'\nproducts='b'",
            "root='shop.example' must be",
        ),
        (
            "[shop]\nroot = 'http://['\n[shop.select]\ncategories='a'\nproducts='b'",
            "must be a URL",
        ),
        (
            "[shop]\nroot = 'http://s.example'\n[shop.select]\ncategories='a:hover'\nproducts='b'",
            "selector 'a:hover'",
        ),
        ("[extra]\n", "unknown section extra"),
        (
            "[search]\ncollection = 'x'\nqueries = { a = 'b' }",
            "collection 'x' must be one of openverse, commons",
        ),
        ("[search]\ncollection = 'commons'\nqueries = { a = 'b' }\n[manners]\nrate = 0.0", "rate"),
        ("[search", "Expected"),
    ],
)
def test_a_recipe_that_makes_no_sense_is_refused(tmp_path, text, said):
    (tmp_path / "r.toml").write_text(text)
    with pytest.raises(RecipeError, match=said):
        crawl.load(tmp_path / "r.toml")


def test_the_documented_recipe_is_one(tmp_path):
    document = (Path(__file__).parents[4] / "TRAINING.md").read_text(encoding="utf-8")
    (text,) = (
        block
        for block in re.findall(r"```toml\n(.*?)```", document, flags=re.DOTALL)
        if "[shop]" in block
    )
    (tmp_path / "r.toml").write_text(text)
    read = crawl.load(tmp_path / "r.toml")
    assert read.source.start()[0].url == "https://shop.example/instruments/"
    assert read.source.label(("Electric basses",)) == "guitar"


def test_a_recipe_is_read_and_named(tmp_path):
    (tmp_path / "r.toml").write_text(RECIPE.replace("URL", "http://s.example"))
    assert crawl.title_of(crawl.load(tmp_path / "r.toml")) == "http://s.example"


def test_a_crawl_that_brings_nothing_says_why(tmp_path, capsys):
    recipe = tmp_path / "r.toml"
    shop = '[shop]\nroot = "http://127.0.0.1:9/"\n[shop.select]\ncategories = "a"\nproducts = "p"\n'
    recipe.write_text(f"{shop}[manners]\ntries = 1\n")
    assert crawl.main([str(recipe), str(tmp_path / "out")]) == 1
    told = capsys.readouterr().err
    assert "no picture was downloaded, most often: robots.txt cannot be read" in told
    assert (tmp_path / "out" / "index.html").is_file()


@pytest.mark.parametrize("allowed", [False, True])
async def test_pictures_on_private_addresses_need_to_be_allowed(
    pictures, tmp_path, draw, encode, allowed
):
    shop, asked = TheShop(pictures), []

    async def pictures_of_others(request):
        asked.append(request.path)
        return (
            web.Response(status=404)
            if request.path == "/robots.txt"
            else web.Response(body=encode(draw(9)), content_type="image/png")
        )

    async with served(pictures_of_others) as other, served(shop.answer) as url:
        host = other.removeprefix("http://").replace("127.0.0.1", "0x7f.1")
        shop.pages["/c/guitars"] = product("Elsewhere", f"http://{host}/4.png")
        path = tmp_path / "r.toml"
        text = RECIPE.replace("URL", url).replace("calendar", "guitar")
        text = text.replace("[shop.select]", f"hosts = ['{host}']\n[shop.select]")
        path.write_text(text)
        options = [str(path), str(tmp_path / "out"), *(["--allow-private"] if allowed else [])]
        await asyncio.to_thread(crawl.main, options)
    assert ("/4.png" in asked) is allowed
    assert bool(asked) is allowed
