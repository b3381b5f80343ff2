"""`timbre data crawl`: pictures from a shop's categories, or from searches in open collections, as a recipe says."""

from __future__ import annotations

import argparse
import asyncio
import json
import tomllib
from collections import Counter
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from common.errors import InputError
from common.mapping import read_settings
from training.common.cli_helpers import run_command
from training.common.errors import MaterialError
from training.common.progress import stage
from training.common.recipe import RecipeError
from training.pictures.collect import crawl_report
from training.pictures.collect.crawl_state import CrawlState, Item
from training.pictures.collect.fetcher import Fetched, Fetcher, FetchError, FetchSettings
from training.pictures.collect.open_collections import CollectionSearch
from training.pictures.collect.shop import Shop, slug
from training.pictures.dataset.image_hash import BLANK, hash_image
from training.pictures.dataset.packed import write_table

if TYPE_CHECKING:
    from collections.abc import Callable

KINDS = {b"\xff\xd8\xff": "jpg", b"\x89PNG": "png", b"GIF8": "gif", b"RIFF": "webp", b"BM": "bmp"}
CREDITS = ("file", "title", "author", "licence", "licence_url", "page", "url", "sha256")


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How much a crawl brings, and what it leaves out."""

    pages: int = 2_000
    """At most."""
    pictures: int = 50_000
    """Asked for at most."""
    blank: float = BLANK
    """Pictures whose grey levels spread less (0 to 127) are empty: there is no picture of the
    product."""
    empty: tuple[str, ...] = ()
    """sha256 of pictures that stand for none."""


@dataclass(frozen=True, kw_only=True)
class Crawl:
    """Everything that decides what a crawl brings."""

    place: Shop | CollectionSearch
    bounds: Limits = field(default_factory=Limits)
    manners: FetchSettings = field(default_factory=FetchSettings)


def load(path: Path) -> Crawl:
    """Return a crawl's recipe: [shop] or [search], [bounds], [manners]. Raises RecipeError for what is no setting."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: {error}") from error
    if unknown := table.keys() - SECTIONS.keys():
        raise RecipeError(
            f"{path}: unknown section {', '.join(sorted(unknown))}; there is {', '.join(SECTIONS)}"
        )
    if len(table.keys() & {"shop", "search"}) != 1:
        raise RecipeError(f"{path}: give either [shop] or [search]")
    read: dict[str, Any] = {
        name: read_settings(SECTIONS[name], value, where=name, error=RecipeError)
        for name, value in table.items()
    }
    place = read.pop("shop", None) or read.pop("search")
    return Crawl(place=place, **read)


SECTIONS = {"shop": Shop, "search": CollectionSearch, "bounds": Limits, "manners": FetchSettings}


def main(argv: list[str]) -> int:
    """Run `timbre data crawl` and return the exit code: 0 done, 1 refused, 130 interrupted."""
    parser = argparse.ArgumentParser(
        prog="timbre data crawl", description="Bring pictures, as a recipe says."
    )
    parser.add_argument(
        "recipe", type=Path, metavar="RECIPE", help="a .toml file with [shop] or [search]"
    )
    parser.add_argument(
        "out", type=Path, metavar="OUT", help="folder; a crawl that was broken off goes on there"
    )
    options = parser.parse_args(argv)
    return run_command("data crawl", lambda: _run(load(options.recipe), options.out))


def _run(crawl: Crawl, out: Path) -> None:
    with stage("crawl") as progress:
        steps, waiting = asyncio.run(run_crawl(crawl, out, progress))
    page = crawl_report.write(out, steps, title_of(crawl), waiting=waiting)
    got = sum(1 for step in steps if "file" in step)
    if not got and not waiting:
        reasons = Counter(step["result"] for step in steps if step["result"] != "ok").most_common(1)
        why = (
            f"most often because: {reasons[0][0]}"
            if reasons
            else "no product has been found: look at the selectors"
        )
        raise MaterialError(f"no picture came, {why}; what became of every address: {page}")
    rest = f"; a bound was reached, {waiting:,} addresses wait" if waiting else ""
    print(f"{got:,} pictures in {out / 'pictures'}; what became of every address: {page}{rest}")


def title_of(crawl: Crawl) -> str:
    """Return what is crawled, in a line."""
    place = crawl.place
    return (
        place.root
        if isinstance(place, Shop)
        else f"{place.collection}: {', '.join(place.queries.values())}"
    )


async def run_crawl(
    crawl: Crawl, out: Path, progress: Callable[[int, int], None]
) -> tuple[list[dict[str, Any]], int]:
    """Crawl until nothing is left to do, or a bound is reached; return all steps, and how many addresses wait.

    Goes on where an earlier call, however it ended, left off. Writes OUT/pictures/,
    provenance.jsonl and credits.csv.
    """
    state = CrawlState(out, json.loads(json.dumps(asdict(crawl.place))))
    bounds = {"page": crawl.bounds.pages, "picture": crawl.bounds.pictures}
    try:
        state.begin(crawl.place.start())
        async with Fetcher(crawl.manners, _hosts(crawl.place)) as fetcher:
            while (item := state.next()) and state.counts[item.kind] < bounds[item.kind]:
                await _process(crawl, fetcher, state, item, out)
                progress(len(state.done), len(state.seen))
        steps = list(state.done.values())
        _write_lists(out, steps)
        return steps, len(state.pages) + len(state.pictures)
    finally:
        state.close()


def _hosts(place: Shop | CollectionSearch) -> frozenset[str] | None:
    return (
        frozenset({urlsplit(place.root).netloc.lower(), *place.hosts})
        if isinstance(place, Shop)
        else None
    )


async def _process(
    crawl: Crawl, fetcher: Fetcher, state: CrawlState, item: Item, out: Path
) -> None:
    try:
        if item.kind == "page":
            # An interface for programs is no page that robots are kept from.
            robots = isinstance(crawl.place, Shop)
            fetched = await fetcher.fetch(
                item.url, max_bytes=crawl.manners.page_bytes, robots=robots
            )
            state.finish(item, "ok", crawl.place.read(item, fetched))
        else:
            fetched = await fetcher.fetch(item.url, max_bytes=crawl.manners.picture_bytes)
            state.finish(item, "ok", **_keep(crawl, item, fetched, state, out))
    except FetchError as refused:
        state.finish(item, str(refused), again=refused.again)
    except InputError as error:
        state.finish(item, str(error))


def _keep(
    crawl: Crawl, item: Item, fetched: Fetched, state: CrawlState, out: Path
) -> dict[str, Any]:
    """Store a picture and return what is to be remembered of it. Raises FetchError and InputError on what is none."""
    if fetched.kind.startswith("text/"):
        raise FetchError(f"{fetched.kind} instead of a picture")
    facts = hash_image(fetched.body)
    if facts.sha256 in crawl.bounds.empty or facts.spread < crawl.bounds.blank:
        raise FetchError("an empty picture")
    if twin := state.files.get(facts.sha256):
        raise FetchError(f"the same picture as {twin}")
    suffix = next((kind for start, kind in KINDS.items() if fetched.body.startswith(start)), "tif")
    name = f"{slug(item.about.get('title', ''))}-{facts.sha256[:10]}.{suffix}"
    path = out / "pictures" / slug(crawl.place.label(item.path)) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = out / ".picture"
    unfinished.write_bytes(fetched.body)
    unfinished.replace(path)
    when = datetime.now(UTC).isoformat(timespec="seconds")
    return {"file": path.relative_to(out).as_posix(), "sha256": facts.sha256, "when": when}


def _write_lists(out: Path, steps: list[dict[str, Any]]) -> None:
    kept = [{**step, **step["about"]} for step in steps if "file" in step]
    names = (
        "file",
        "path",
        "title",
        "url",
        "page",
        "author",
        "licence",
        "licence_url",
        "sha256",
        "when",
    )
    lines = (
        json.dumps({name: one[name] for name in names if name in one}, ensure_ascii=False)
        for one in kept
    )
    (out / "provenance.jsonl").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    write_table(
        out / "credits.csv", CREDITS, ([one.get(name, "") for name in CREDITS] for one in kept)
    )
