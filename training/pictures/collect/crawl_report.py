"""What a crawl brought and what became of every address, as a page."""

from __future__ import annotations

from collections import Counter, defaultdict
from html import escape
from string import Template
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

SHOWN = 24
"""Pictures per label."""
EXAMPLES = 5
"""Addresses per reason."""
PAGE = Template("""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Crawl of $title</title>
<style>
:root { color-scheme: light dark; --line: light-dark(#dde1e6, #343a42); --soft: light-dark(#5d6670, #9aa4af); }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; padding: 0 1.5rem; max-width: 72rem;
  background: light-dark(#fff, #16191d); color: light-dark(#1c2126, #e4e8ec); }
h1 { font-size: 1.4rem; margin: 0 0 .2rem; overflow-wrap: anywhere } h2 { font-size: 1.05rem; margin: 2rem 0 .6rem }
p, small { color: var(--soft) } small { font-weight: 400 }
.grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(88px, 1fr)); gap: 8px }
.grid img { width: 100%; aspect-ratio: 1; object-fit: contain; background: #fff; border: 1px solid var(--line);
  border-radius: 6px; box-sizing: border-box }
table { border-collapse: collapse; width: 100% } td, th { text-align: left; padding: .35rem .8rem .35rem 0;
  border-top: 1px solid var(--line); vertical-align: top; overflow-wrap: anywhere } th { font-weight: 600; border: 0 }
tr > :first-child { text-align: right; font-variant-numeric: tabular-nums; width: 5rem }
a { color: inherit }
</style></head><body>
<h1>$title</h1><p>$line</p>
$labels
<h2>What became of the addresses</h2><table><tr><th>count</th><th>result</th><th>such as</th></tr>$results</table>
<h2>Categories</h2><table><tr><th>pictures</th><th>path</th><th></th></tr>$paths</table>
</body></html>
""")


def write(out: Path, steps: list[dict[str, Any]], title: str, *, waiting: int = 0) -> Path:
    """Write OUT/index.html and return its path. steps: those of the crawl's ledger."""
    kept: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for step in steps:
        if "file" in step:
            kept[step["file"].split("/")[1]].append(step)
    pages = sum(1 for step in steps if step["kind"] == "page")
    total = sum(map(len, kept.values()))
    line = f"{total:,} pictures of {len(kept):,} labels from {pages:,} pages"
    line += f"; a bound was reached, {waiting:,} addresses wait" if waiting else ""
    page = PAGE.substitute(
        title=escape(title),
        line=line,
        labels="\n".join(_label(label, some) for label, some in sorted(kept.items())),
        results=_results(steps),
        paths=_rows(
            (count, " / ".join(path) or "(root)", "") for path, count in _paths(kept).most_common()
        ),
    )
    path = out / "index.html"
    path.write_text(page, encoding="utf-8")
    return path


def _label(label: str, steps: list[dict[str, Any]]) -> str:
    pictures = "".join(
        f'<a href="{quote(step["file"])}"><img loading="lazy" src="{quote(step["file"])}" '
        f'alt="{escape(step["about"].get("title", ""))}" title="{escape(step["about"].get("title", ""))}"></a>'
        for step in steps[:SHOWN]
    )
    return (
        f'<h2>{escape(label)} <small>{len(steps):,}</small></h2><div class="grid">{pictures}</div>'
    )


def _paths(kept: dict[str, list[dict[str, Any]]]) -> Counter[tuple[str, ...]]:
    return Counter(tuple(step["path"]) for steps in kept.values() for step in steps)


def _results(steps: list[dict[str, Any]]) -> str:
    by_result = defaultdict(list)
    for step in steps:
        # The same picture as which one is for the journal; here it is one reason.
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
