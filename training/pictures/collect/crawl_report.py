"""The pictures of a crawl and the result of every URL, as a page."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path
from typing import Any
from urllib.parse import quote

from common.atomic import write_atomic
from common.page import Html, document, escape, table

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
    line = f"{_count(total, 'picture')} of {_count(len(kept), 'label')} "
    line += f"from {_count(pages, 'page')}"
    line += f"; a limit was reached; pending: {_count(pending, 'URL')}" if pending else ""
    labels = "".join(_label(label, some) for label, some in sorted(kept.items()))
    paths = [
        [" / ".join(path) or "(root)", f"{count:,}"] for path, count in _paths(kept).most_common()
    ]
    body = (
        f'<h1>{escape(title)}</h1><p class="lead">{line}</p>{labels}'
        f"<h2>Results of the URLs</h2>{_results(steps)}"
        f"<h2>Categories</h2>{table(['category', 'pictures'], paths)}"
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


def _results(steps: list[dict[str, Any]]) -> Html:
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
    rows = [[escape(result), f"{len(urls):,}", _listed(result, urls)] for result, urls in ranked]
    return table(["result", "URLs", "examples"], rows, words=["examples"])


def _listed(result: str, urls: list[str]) -> Html:
    shown = [] if result.endswith(": ok") else urls[:EXAMPLES]
    return Html(f"<small>{'<br>'.join(map(escape, shown))}</small>")


def _count(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'s' * (number != 1)}"
