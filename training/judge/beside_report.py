"""Several models on one folder as text, and as a folder with a page for all and one for each."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from common.atomic import atomic_folder
from common.page import Html, bar, cards, escape, join, page, paragraph, table
from common.strict_json import to_json
from training.judge import report as single
from training.judge.beside import WHERE_RIGHT
from training.pictures.dataset.packed import write_table
from training.reporting.markdown import table as markdown_table
from training.reporting.training_run import long_table

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from training.judge.report import Play

TESTS_NOTE = (
    "On the same files: those of folders that are classes of all models. A model of more classes "
    "can be wrong in more ways; among common classes, only these are compared."
)
FILES_NOTE = "Of each model its answer, and rank and score of the right class."
CLASSES_NOTE = "What the last model lost most against the first comes first."
RIGHT_HEAD = ("compared with", "both right", "only the first", "only the other", "neither")


def text(report: dict[str, Any]) -> str:
    """Return what is printed: the models, who is right where, and the classes most changed."""
    head, rows = _tests(report)
    parts = [_lead(report), markdown_table(head, rows), markdown_table(*_right(report))]
    changed = [one for one in report["labels"] if one["top1"][0] != one["top1"][-1]]
    if changed:
        few = changed if len(changed) <= 10 else [*changed[:5], *changed[-5:]]
        head = _class_head(report)
        parts.append(
            f"Classes most changed\n{markdown_table(head, [_class_row(one) for one in few])}"
        )
    return "\n\n".join([*parts, *_left_out(report)])


def write(
    report: dict[str, Any], judgements: Sequence[dict[str, Any]], folder: Path, play: Play
) -> Path:
    """Write the folder atomically, in place of the one that is there.

    report.html, report.json and files.csv (of each file the answer, the rank and the score of the
    right class of each model) are of all models; MODEL/report.html and report.json of each.
    """
    links = [f"{at}-{_plain(name)}" for at, name in enumerate(report["models"], 1)]
    told = {key: value for key, value in report.items() if key != "rows"}
    with atomic_folder(folder, replace=True) as draft:
        page_of = render(report, links, play)
        (draft / "report.html").write_text(page_of, encoding="utf-8")
        (draft / "report.json").write_text(to_json(told, indent=1) + "\n", encoding="utf-8")
        write_table(draft / "files.csv", *_csv(report))
        for link, one in zip(links, judgements, strict=True):
            single.write(one, draft / link, play)
    return folder


def render(report: dict[str, Any], links: Sequence[str], play: Play) -> str:
    """Return report.html. links: the folder of the page of each model, beside it."""
    head, rows = _tests(report)
    linked = [
        [Html(f'<a href="{escape(link)}/report.html">{escape(row[0])}</a>'), *row[1:]]
        for link, row in zip(links, rows, strict=True)
    ]
    classes = [_class_row(one, bar) for one in report["labels"]]
    sections = [
        ("Models", join(paragraph(TESTS_NOTE, note=True), table(head, linked))),
        ("Which is right", table(*_right(report))),
        (
            "Classes",
            join(paragraph(CLASSES_NOTE, note=True), long_table(_class_head(report), classes)),
        ),
        ("Files with a worse rank", _files(report, report["worse"], play)),
        ("Files with a better rank", _files(report, report["better"], play)),
        ("Not compared", join(*(paragraph(line) for line in _left_out(report)))),
    ]
    title = f"{' and '.join(report['models'])} on {report['folder']}"
    shares = [
        (f"{one['top1']:.1%}", f"right: {name}")
        for name, one in zip(report["models"], report["tests"], strict=True)
    ]
    return page(title, sections, lead=paragraph(_lead(report)), before=cards(shares))


def _plain(name: str) -> str:
    """Return a name that may be a folder's everywhere, and part of a link."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name)[:60].strip("-")


def _lead(report: dict[str, Any]) -> str:
    return (
        f"{' and '.join(report['models'])} on {report['folder']}: {report['files']:,} files of "
        f"{len(report['classes']):,} classes that all of them have."
    )


def _tests(report: dict[str, Any]) -> tuple[list[str], list[list[Any]]]:
    every = report["tests"]
    tops = [key for key in every[0] if re.fullmatch(r"top\d+", key)]
    tops = [key for key in tops if all(key in one for one in every)]
    keys = [*tops, "top1_among_common", "loss", "macro_f1", "mean_rank", "majority"]
    head = ["model", "classes", *(f"top-{key[3:]}" for key in tops), "top-1 among common classes"]
    head += ["loss", "macro-F1", "mean rank", "majority"]
    return head, [
        [name, one["classes"], *(one[key] for key in keys)]
        for name, one in zip(report["models"], every, strict=True)
    ]


def _right(report: dict[str, Any]) -> tuple[list[str], list[list[Any]]]:
    first, *others = report["models"]
    rows = [
        [name, *(counts[where] for where in WHERE_RIGHT)]
        for name, counts in zip(others, report["right"], strict=True)
    ]
    return [f"{first} {RIGHT_HEAD[0]}", *RIGHT_HEAD[1:]], rows


def _class_head(report: dict[str, Any]) -> list[str]:
    names = report["models"]
    return ["class", "files", *(f"top-1, {name}" for name in names), "change", "mean ranks"]


def _class_row(one: dict[str, Any], show: Callable[[float], Any] = float) -> list[Any]:
    ranks = " to ".join(f"{rank:.1f}" for rank in one["mean_rank"])
    change = f"{one['top1'][-1] - one['top1'][0]:+.3f}"
    return [one["label"], one["support"], *map(show, one["top1"]), change, ranks]


def _files(report: dict[str, Any], rows: list[dict[str, Any]], play: Play) -> Html:
    clips = "".join(
        f'<div class="clip">{play(row["path"])}<dl><dt>true</dt><dd>{escape(row["is"])}</dd>'
        + "".join(
            f"<dt>{escape(name)}</dt><dd>{escape(said)}; {rank}, {score:.3f}</dd>"
            for name, said, rank, score in zip(
                report["models"], row["said"], row["rank"], row["right"], strict=True
            )
        )
        + f"<dt>file</dt><dd>{escape(row['path'])}</dd></dl></div>"
        for row in rows
    )
    kind = "clips pictures" if report["medium"] == "picture" else "clips"
    cards_of = Html(f'<div class="{kind}">{clips}</div>')
    return join(paragraph(FILES_NOTE, note=True), cards_of) if clips else Html()


def _left_out(report: dict[str, Any]) -> list[str]:
    """Return a line for each model that cannot judge some of the files."""
    lines = []
    for one in report["left_out"]:
        folders = [*one["unknown_folders"], *one["ambiguous_folders"]]
        if folders:
            lines.append(f"Folders that are no class of {one['name']}: {', '.join(folders)}")
        if one["problems"]:
            lines.append(f"{one['problems']:,} files that {one['name']} cannot read")
    return lines


def _csv(report: dict[str, Any]) -> tuple[list[str], list[list[Any]]]:
    names = report["models"]
    head = ["path", "class"]
    head += [f"{what}, {name}" for name in names for what in ("said", "rank", "score")]
    rows = [
        [
            row["path"],
            row["is"],
            *(
                value
                for said, rank, score in zip(row["said"], row["rank"], row["right"], strict=True)
                for value in (said, rank, f"{score:.6f}")
            ),
        ]
        for row in report["rows"]
    ]
    return head, rows
