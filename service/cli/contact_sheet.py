"""A contact sheet: pictures and what a model says of them as one HTML page that needs nothing else."""

from __future__ import annotations

import base64
import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import IO, Any

from common.errors import InputError, TimbreError, Unprocessable

SIDE = 320
"""Pixels of a thumbnail's longer side: twice what it is shown at, for fine screens."""
MOST = 5_000
"""Pictures on one sheet: a browser is slow with more."""


@dataclass(frozen=True)
class Entry:
    """One picture that was answered."""

    path: Path
    predictions: list[dict[str, Any]]
    at: int
    """Where its thumbnail begins in the spool."""
    size: int

    @property
    def label(self) -> str:
        """What the model thinks most."""
        return str(self.predictions[0]["label"])

    @property
    def score(self) -> float:
        """How sure it is."""
        return float(self.predictions[0]["score"])


@contextmanager
def writing(
    target: Path, *, title: str
) -> Iterator[Callable[[Path, TimbreError | dict[str, Any]], None]]:
    """Give what takes each picture and its answer; write the sheet, surest first, when the block is left in peace.

    Thumbnails wait on disk, so that memory stays flat. Raises Unprocessable if `target` cannot be
    written.
    """
    from features.picture import thumbnail

    entries: list[Entry] = []
    failed: list[tuple[Path, TimbreError]] = []
    draft = target.with_name(f".{target.name}-{os.getpid()}")
    with tempfile.TemporaryFile() as spool:

        def take(path: Path, found: TimbreError | dict[str, Any]) -> None:
            if isinstance(found, TimbreError):
                failed.append((path, found))
                return
            try:
                small = thumbnail(path.read_bytes(), side=SIDE)
            except OSError as error:  # it was there a moment ago
                failed.append((path, InputError(error.strerror or str(error))))
                return
            entries.append(
                Entry(path, found["predictions"], spool.seek(0, os.SEEK_END), len(small))
            )
            spool.write(small)

        try:
            with draft.open("w", encoding="utf-8") as page:
                yield take
                page.writelines(_page(title, entries, failed, spool))
            draft.replace(target)
        except OSError as error:
            raise Unprocessable(f"{target} cannot be written: {error.strerror}") from error
        finally:
            draft.unlink(missing_ok=True)


def _page(
    title: str, entries: list[Entry], failed: list[tuple[Path, TimbreError]], spool: IO[bytes]
) -> Iterator[str]:
    ranked = sorted(entries, key=lambda entry: -entry.score)
    counts = Counter(entry.label for entry in entries)
    numbers = {label: number for number, (label, _) in enumerate(counts.most_common())}
    yield _HEAD.format(title=escape(title), style=_STYLE)
    yield f"<header><h1>{escape(title)}</h1><p>{_summary(len(entries), len(failed))}</p></header>"
    yield from _legend(counts)
    yield "<main>"
    if len(ranked) > MOST:
        ranked = ranked[: MOST // 2] + ranked[-(MOST // 2) :]
    for entry in ranked:
        spool.seek(entry.at)
        yield _card(entry, numbers[entry.label], spool.read(entry.size))
    yield "</main>"
    if failed:
        rows = "".join(
            f"<li><b>{escape(str(path))}</b> {escape(str(error))}</li>" for path, error in failed
        )
        yield f"<section><h2>Could not be read</h2><ul>{rows}</ul></section>"
    yield f"<script>{_SCRIPT}</script>\n"


def _summary(shown: int, failed: int) -> str:
    parts = [f"{shown:,} picture{'s' * (shown != 1)}, the surest first"]
    if shown > MOST:
        parts.append(f"the {MOST // 2:,} surest and the {MOST // 2:,} least sure are shown")
    if failed:
        parts.append(f"{failed:,} could not be read, see below")
    return "; ".join(parts)


def _legend(counts: Counter[str]) -> Iterator[str]:
    """Yield one button a label, as long as its share, which shows that label alone."""
    most = max(counts.values(), default=1)
    yield "<nav><button id=turn>show the least sure first</button><div>"
    for number, (label, count) in enumerate(counts.most_common()):
        share = 100 * count / most
        yield (
            f"<button class=l data-l={number} aria-pressed=false style=--s:{share:.0f}%>"
            f"<span>{escape(label)}</span><i>{count:,}</i></button>"
        )
    yield "</div></nav>"


def _card(entry: Entry, number: int, small: bytes) -> str:
    others = ", ".join(f"{each['label']} {each['score']:.2f}" for each in entry.predictions[1:3])
    sure = round(100 * entry.score)
    return (
        f"<figure data-l={number} title='{escape(str(entry.path), quote=True)}'>"
        f"<div class=t><img alt='' decoding=async src=data:image/jpeg;base64,{base64.b64encode(small).decode()}></div>"
        f"<figcaption><b>{escape(entry.label)}</b><i>{sure} %</i><hr style=--s:{sure}%>"
        f"<small>{escape(others) or '&nbsp;'}</small><small class=p>{escape(entry.path.name)}</small>"
        "</figcaption></figure>\n"
    )


_HEAD = """<!doctype html>
<html lang=en><meta charset=utf-8><meta name=viewport content="width=device-width,initial-scale=1">
<title>{title}</title><style>{style}</style>
"""
_STYLE = """
:root{color-scheme:light dark;--bg:#f6f6f4;--card:#fff;--ink:#1c1d1f;--dim:#6b6f76;--line:#e2e2de;--fill:#2f6f5e}
@media(prefers-color-scheme:dark){:root{--bg:#16181a;--card:#202326;--ink:#ececea;--dim:#9a9fa6;--line:#33373b;
--fill:#6fc3a8}}
*{box-sizing:border-box;margin:0}
body{background:var(--bg);color:var(--ink);font:14px/1.45 system-ui,sans-serif;padding:28px clamp(16px,4vw,56px)}
h1{font-size:24px;font-weight:650;letter-spacing:-.01em}h2{font-size:16px;margin:36px 0 8px}
header p{color:var(--dim);margin-top:2px}
nav{margin:20px 0 24px;display:grid;gap:12px}nav div{display:flex;flex-wrap:wrap;gap:6px;
max-height:148px;overflow:auto;padding:1px}
button{font:inherit;color:inherit;border:1px solid var(--line);border-radius:6px;padding:4px 10px;cursor:pointer;
background:var(--card)}
button:hover,button[aria-pressed=true]{border-color:var(--fill)}
button[aria-pressed=true]{box-shadow:inset 0 0 0 1px var(--fill)}#turn{justify-self:start}
button:focus-visible{outline:2px solid var(--fill);outline-offset:2px}
.l{background:linear-gradient(90deg,var(--fill) var(--s),var(--line) var(--s)) 0 100%/100% 3px no-repeat var(--card)}
.l i{color:var(--dim);font-style:normal;margin-left:8px;font-variant-numeric:tabular-nums}
main{display:grid;grid-template-columns:repeat(auto-fill,minmax(168px,1fr));gap:14px}
figure{background:var(--card);border:1px solid var(--line);border-radius:8px;overflow:hidden;content-visibility:auto;
contain-intrinsic-size:auto 260px}
.t{height:160px;display:grid;place-items:center;background:#fff;border-bottom:1px solid var(--line);padding:6px}
.t img{max-width:100%;max-height:148px;display:block}
figcaption{padding:8px 10px 9px;display:grid;grid-template-columns:1fr auto;gap:0 8px}
figcaption b{font-weight:600;overflow:hidden;text-overflow:ellipsis;white-space:nowrap}
figcaption i{font-style:normal;font-variant-numeric:tabular-nums}
hr{grid-column:1/-1;border:0;height:3px;border-radius:2px;margin:4px 0 5px;
background:linear-gradient(90deg,var(--fill) var(--s),var(--line) var(--s))}
small{grid-column:1/-1;font-size:12px;color:var(--dim);overflow:hidden;text-overflow:ellipsis;white-space:nowrap}
ul{padding-left:18px;color:var(--dim)}li b{color:var(--ink);font-weight:500}
[hidden]{display:none}
"""
_SCRIPT = """
const all=document.querySelector('main'),labels=document.querySelectorAll('.l'),turn=document.querySelector('#turn');
turn.onclick=()=>{all.append(...[...all.children].reverse());
turn.textContent=`show the ${turn.textContent.includes('least')?'surest':'least sure'} first`};
labels.forEach(one=>one.onclick=()=>{const on=one.ariaPressed!=='true';
labels.forEach(each=>each.ariaPressed=String(on&&each===one));
for(const card of all.children)card.hidden=on&&card.dataset.l!==one.dataset.l});
"""
