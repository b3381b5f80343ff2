"""`timbre data crawl`: downloads pictures from a shop or from open collections, by a recipe."""

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

from common.addresses import literal_endpoints
from common.atomic import write_atomic
from common.errors import InputError
from common.mapping import read_settings
from common.strict_json import to_json
from features.image_files.image_header import sniff
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
    from training.common.progress import Progress

SUFFIXES = {"JPEG": "jpg", "TIFF": "tif"}
"""By kind; of the others it is the kind itself."""
CREDITS = ("file", "title", "author", "licence", "licence_url", "page", "url", "sha256")


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits of a crawl, and the pictures it skips."""

    pages: int = 2_000
    """Maximum of pages."""
    pictures: int = 50_000
    """Maximum of pictures requested."""
    blank: float = BLANK
    """Pictures whose grey levels spread less (0 to 127) are empty: placeholders of a shop."""
    empty: tuple[str, ...] = ()
    """sha256 of placeholder pictures."""


@dataclass(frozen=True, kw_only=True)
class Crawl:
    """The settings of a crawl."""

    source: Shop | CollectionSearch
    bounds: Limits = field(default_factory=Limits)
    manners: FetchSettings = field(default_factory=FetchSettings)


def load(path: Path) -> Crawl:
    """Return a recipe: [shop] or [search], [bounds], [manners]. Raises RecipeError."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: {error}") from error
    if unknown := table.keys() - SECTIONS.keys():
        raise RecipeError(
            f"{path}: unknown section {', '.join(sorted(unknown))}; known: {', '.join(SECTIONS)}"
        )
    if len(table.keys() & {"shop", "search"}) != 1:
        raise RecipeError(f"{path}: exactly one of [shop] and [search] is needed")
    read: dict[str, Any] = {
        name: read_settings(SECTIONS[name], value, where=name, error=RecipeError)
        for name, value in table.items()
    }
    source = read.pop("shop", None) or read.pop("search")
    return Crawl(source=source, **read)


SECTIONS = {"shop": Shop, "search": CollectionSearch, "bounds": Limits, "manners": FetchSettings}


def main(argv: list[str]) -> int:
    """Run `timbre data crawl` and return the exit code: 0 done, 1 error, 130 interrupted."""
    parser = argparse.ArgumentParser(
        prog="timbre data crawl",
        description="Download pictures from a shop or from open collections.",
    )
    parser.add_argument(
        "recipe", type=Path, metavar="RECIPE", help="a .toml file with [shop] or [search]"
    )
    parser.add_argument(
        "out", type=Path, metavar="OUT", help="folder; an interrupted crawl resumes there"
    )
    parser.add_argument(
        "--allow-private",
        action="store_true",
        help="follow links and redirects to this machine and to private networks as well",
    )
    options = parser.parse_args(argv)
    return run_command(
        "data crawl",
        lambda: _run(load(options.recipe), options.out, allow_private=options.allow_private),
    )


def _run(crawl: Crawl, out: Path, *, allow_private: bool) -> None:
    with stage("crawl") as progress:
        steps, pending = asyncio.run(run_crawl(crawl, out, progress, allow_private=allow_private))
    page = crawl_report.write(out, steps, title_of(crawl), pending=pending)
    count = sum(1 for step in steps if "file" in step)
    if not count and not pending:
        reasons = Counter(step["result"] for step in steps if step["result"] != "ok").most_common(1)
        why = (
            f"most often: {reasons[0][0]}"
            if reasons
            else "no product was found: check the selectors"
        )
        raise MaterialError(f"no picture was downloaded, {why}; the result of every URL: {page}")
    rest = f"; a limit was reached, {pending:,} URLs are pending" if pending else ""
    print(f"{count:,} pictures in {out / 'pictures'}; the result of every URL: {page}{rest}")


def title_of(crawl: Crawl) -> str:
    """Return the source of a crawl in one line."""
    source = crawl.source
    return (
        source.root
        if isinstance(source, Shop)
        else f"{source.collection}: {', '.join(source.queries.values())}"
    )


async def run_crawl(
    crawl: Crawl, out: Path, progress: Progress, *, allow_private: bool = False
) -> tuple[list[dict[str, Any]], int]:
    """Crawl until all is done or a limit is reached; return all steps and the pending URLs' number.

    allow_private: whether to connect to private addresses that the recipe does not name. Resumes
    where an earlier call ended, however it ended. Writes OUT/pictures/, provenance.jsonl and
    credits.csv.
    """
    state = CrawlState(out, json.loads(to_json(asdict(crawl.source))))
    bounds = {"page": crawl.bounds.pages, "picture": crawl.bounds.pictures}
    try:
        state.start(crawl.source.start())
        private = None if allow_private else literal_endpoints(_named(crawl.source))
        async with Fetcher(crawl.manners, _hosts(crawl.source), private=private) as fetcher:
            while (item := state.next()) and state.counts[item.kind] < bounds[item.kind]:
                await _process(crawl, fetcher, state, item, out)
                progress(len(state.done), len(state.seen))
        steps = list(state.done.values())
        _write_lists(out, steps)
        return steps, len(state.pages) + len(state.pictures)
    finally:
        state.close()


def _named(source: Shop | CollectionSearch) -> list[str]:
    """Return the URLs of the hosts that a recipe names."""
    if isinstance(source, Shop):
        scheme = urlsplit(source.root).scheme
        return [source.root, *(f"{scheme}://{host}" for host in source.hosts)]
    return [source.url]


def _hosts(source: Shop | CollectionSearch) -> frozenset[str] | None:
    return (
        frozenset({urlsplit(source.root).netloc.lower(), *source.hosts})
        if isinstance(source, Shop)
        else None
    )


async def _process(
    crawl: Crawl, fetcher: Fetcher, state: CrawlState, item: Item, out: Path
) -> None:
    try:
        if item.kind == "page":
            # robots.txt does not apply to an API.
            robots = isinstance(crawl.source, Shop)
            fetched = await fetcher.fetch(
                item.url, max_bytes=crawl.manners.page_bytes, robots=robots
            )
            state.finish(item, "ok", crawl.source.read(item, fetched))
        else:
            fetched = await fetcher.fetch(item.url, max_bytes=crawl.manners.picture_bytes)
            state.finish(item, "ok", **_store(crawl, item, fetched, state, out))
    except FetchError as error:
        state.finish(item, str(error), again=error.again)
    except InputError as error:
        state.finish(item, str(error))


def _store(
    crawl: Crawl, item: Item, fetched: Fetched, state: CrawlState, out: Path
) -> dict[str, Any]:
    """Write a picture and return its journal fields. Raises FetchError or InputError."""
    if fetched.kind.startswith("text/"):
        raise FetchError(f"{fetched.kind} instead of a picture")
    hashed = hash_image(fetched.body)
    if hashed.sha256 in crawl.bounds.empty or hashed.spread < crawl.bounds.blank:
        raise FetchError("an empty picture")
    if duplicate := state.files.get(hashed.sha256):
        raise FetchError(f"the same picture as {duplicate}")
    kind = sniff(fetched.body)
    suffix = SUFFIXES.get(kind, kind.lower())
    name = f"{slug(item.about.get('title', ''))}-{hashed.sha256[:10]}.{suffix}"
    path = out / "pictures" / slug(crawl.source.label(item.path)) / name
    write_atomic(path, fetched.body)
    when = datetime.now(UTC).isoformat(timespec="seconds")
    return {"file": path.relative_to(out).as_posix(), "sha256": hashed.sha256, "when": when}


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
        to_json({name: one[name] for name in names if name in one}, ensure_ascii=False)
        for one in kept
    )
    write_atomic(out / "provenance.jsonl", "".join(f"{line}\n" for line in lines))
    write_table(
        out / "credits.csv", CREDITS, ([one.get(name, "") for name in CREDITS] for one in kept)
    )
