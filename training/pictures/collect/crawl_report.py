"""The pictures of a crawl and the result of every URL, as a page."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from common.atomic import write_atomic
from common.page import document, escape

if TYPE_CHECKING:
    from collections.abc import Iterable

SHOWN = 24
"""Pictures per label."""
EXAMPLES = 5
"""URLs per result."""
STYLE = Path(__file__).with_suffix(".css")


def write(out: Path, steps: list[dict[str, Any]], title: str, *, pending: int = 0) -> Path:
    """Write OUT/index.html and return its path. steps: from the crawl state; pending: URLs."""
    kept: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for step in steps:
        if "file" in step:
            kept[step["file"].split("/")[1]].append(step)
    pages = sum(1 for step in steps if step["kind"] == "page")
    total = sum(map(len, kept.values()))
    line = f"{total:,} pictures of {len(kept):,} labels from {pages:,} pages"
    line += f"; a limit was reached, {pending:,} URLs are pending" if pending else ""
    labels = "".join(_label(label, some) for label, some in sorted(kept.items()))
    paths = _rows(
        (count, " / ".join(path) or "(root)", "") for path, count in _paths(kept).most_common()
    )
    body = (
        f'<h1>{escape(title)}</h1><p class="lead">{line}</p>{labels}'
        "<h2>Results of the URLs</h2>"
        f"<table><tr><th>count</th><th>result</th><th>examples</th></tr>{_results(steps)}</table>"
        "<h2>Categories</h2>"
        f"<table><tr><th>pictures</th><th>path</th><th></th></tr>{paths}</table>"
    )
    path = out / "index.html"
    style = STYLE.read_text(encoding="utf-8")
    write_atomic(path, document(f"Crawl of {title}", body, style=style))
    return path


def _label(label: str, steps: list[dict[str, Any]]) -> str:
    pictures = ""
    for step in steps[:SHOWN]:
        address, title = quote(step["file"]), escape(step["about"].get("title", ""))
        picture = f'<img loading="lazy" src="{address}" alt="{title}" title="{title}">'
        pictures += f'<a href="{address}">{picture}</a>'
    heading = f"<h2>{escape(label)} <small>{len(steps):,}</small></h2>"
    return f'{heading}<div class="pictures">{pictures}</div>'


def _paths(kept: dict[str, list[dict[str, Any]]]) -> Counter[tuple[str, ...]]:
    return Counter(tuple(step["path"]) for steps in kept.values() for step in steps)


def _results(steps: list[dict[str, Any]]) -> str:
    by_result = defaultdict(list)
    for step in steps:
        # The journal names the duplicate; here all of them are one reason.
        reason = (
            "the same picture again"
            if step["result"].startswith("the same picture")
            else step["result"]
        )
        by_result[f"{step['kind']}: {reason}"].append(step["url"])
    ranked = sorted(by_result.items(), key=lambda pair: -len(pair[1]))
    return _rows(
        (len(urls), result, " ".join(urls[:EXAMPLES]) * (not result.endswith(": ok")))
        for result, urls in ranked
    )


def _rows(rows: Iterable[tuple[int, str, str]]) -> str:
    return "".join(
        f"<tr><td>{n:,}</td><td>{escape(a)}</td><td><small>{escape(b)}</small></td></tr>"
        for n, a, b in rows
    )
