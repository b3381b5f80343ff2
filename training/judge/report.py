"""A judgement as text, and as a folder with report.html, report.json and files.csv."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from common.atomic import atomic_folder
from common.page import (
    Html,
    bar,
    cards,
    chart,
    escape,
    join,
    page,
    paragraph,
    table,
)
from common.strict_json import to_json
from training.pictures.dataset.packed import write_table
from training.reporting import charts
from training.reporting.confusion import confusion
from training.reporting.markdown import table as markdown_table
from training.reporting.training_run import long_table

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Play: TypeAlias = "Callable[[str], Html]"
"""From the path of a file to a picture, or a player with a spectrogram."""
FILES_HEAD = ("path", "class", "said", "rank", "score")
"""Of files.csv; rank and score of the right class."""
CHOICE_NOTE = (
    "Classes with more than {more_than} files, by top-1, then top-{top}, then the loss: which the "
    "model knows well enough to be chosen for a smaller collection. One word: names of several "
    "words are harder to search pictures for."
)


def text(report: dict[str, Any]) -> str:
    """Return what is printed: the tests, the hardest classes, and what was not judged."""
    head, rows = _tests(report)
    hardest = [_class_row(one) for one in report["labels"][:10]]
    parts = [_lead(report), markdown_table(head, rows)]
    parts += [f"Hardest classes\n{markdown_table(_class_head(report), hardest)}"]
    if report["choice"]:
        best = ", ".join(one["label"] for one in report["choice"][:10])
        parts.append(f"Best of those with more than {report['more_than']} files: {best}")
    return "\n\n".join([*parts, *_left_out(report)])


def write(report: dict[str, Any], folder: Path, play: Play) -> Path:
    """Write report.html, report.json and files.csv, atomically, in place of those there."""
    told = {key: value for key, value in report.items() if key != "rows"}
    with atomic_folder(folder, replace=True) as draft:
        (draft / "report.html").write_text(render(report, play), encoding="utf-8")
        (draft / "report.json").write_text(to_json(told, indent=1) + "\n", encoding="utf-8")
        write_table(draft / "files.csv", FILES_HEAD, report["rows"])
    return folder


def render(report: dict[str, Any], play: Play) -> str:
    """Return report.html of report.json."""
    main = _main(report)
    figures = [(f"{main['top1']:.1%}", f"right (always the most frequent: {main['majority']:.1%})")]
    if report["top"] > 1:
        figures.append((f"{main[_topk(report)]:.1%}", f"right within {report['top']} guesses"))
    figures += [(f"{main['macro_f1']:.3f}", "macro-F1"), (f"{main['loss']:.3f}", "loss")]
    pairs = table(["true", "predicted", "files"], report["confused"], words=["predicted"])
    sections = [
        ("Tests", table(*_tests(report))),
        ("Not judged", join(*(paragraph(line) for line in _left_out(report)))),
        ("Classes", long_table(_class_head(report), [_bars(one) for one in report["labels"]])),
        ("Choice of classes", _choice(report)),
        ("Confusion", join(confusion(report["classes"], report["confusion_pairs"]), pairs)),
        ("Calibration", _calibration(report)),
        ("Worst mistakes", _mistakes(report, play)),
    ]
    title = f"{report['name']} {report['version']} on {report['folder']}"
    return page(title, sections, lead=paragraph(_lead(report)), before=cards(figures))


def _main(report: dict[str, Any]) -> dict[str, Any]:
    return dict(list(report["tests"].values())[-1])


def _topk(report: dict[str, Any]) -> str:
    return f"top{report['top']}"


def _lead(report: dict[str, Any]) -> str:
    what = f"{report['name']} {report['version']}".strip()
    return (
        f"{what} on {report['folder']}: {_main(report)['pictures']:,} files of "
        f"{report['classes_judged']:,} of its {len(report['classes']):,} classes."
    )


def _tests(report: dict[str, Any]) -> tuple[list[str], list[list[Any]]]:
    tops = [key for key in _main(report) if key.startswith("top")]
    keys = [*tops, "loss", "macro_f1", "majority", "calibration_error"]
    names = ["loss", "macro-F1", "majority", "calibration error"]
    head = ["evaluated on", "count", *(f"top-{key[3:]}" for key in tops), *names]
    rows = [
        [name, one["pictures"], *(one[key] for key in keys)]
        for name, one in report["tests"].items()
    ]
    if over := _main(report).get("at_thresholds"):
        head += ["macro-F1 at thresholds", "all on", "mAP", "one score"]
        for row, one in zip(rows, report["tests"].values(), strict=True):
            over = one["at_thresholds"]
            row += [over["macro_f1"], over["macro_f1_all_on"]]
            row += [over["mean_average_precision"], over["mean_average_precision_constant"]]
    return head, rows


def _class_head(report: dict[str, Any]) -> list[str]:
    return ["class", "files", "top-1", f"top-{report['top']}", "F1", "loss"]


def _class_row(one: dict[str, Any]) -> list[Any]:
    return [one["label"], one["support"], one["top1"], one["topk"], one["f1"], one["loss"]]


def _bars(one: dict[str, Any]) -> list[Any]:
    name, count, *shares, loss = _class_row(one)
    return [name, count, *map(bar, shares), loss]


def _choice(report: dict[str, Any]) -> Html:
    rows = [[*_bars(one), "yes" if one["one_word"] else "no"] for one in report["choice"]]
    note = CHOICE_NOTE.format(more_than=report["more_than"], top=report["top"])
    found = long_table([*_class_head(report), "one word"], rows)
    return join(paragraph(note, note=True), found) if rows else Html()


def _left_out(report: dict[str, Any]) -> list[str]:
    """Return a line for each reason that files were not judged."""
    unknown, problems = report["unknown_folders"], report["problems"]
    lines = [f"Folders that are no class of the model: {', '.join(unknown)}"] if unknown else []
    lines += [
        f"Folder {name} could be {' or '.join(classes)}: name it as the model does"
        for name, classes in report["ambiguous_folders"].items()
    ]
    if problems:
        first = "; ".join(f"{path}: {why}" for path, why in problems[:3])
        lines.append(f"{len(problems):,} files left out: {first}")
    return lines


def _calibration(report: dict[str, Any]) -> Html:
    found = report["reliability"]
    caption = f"Mean distance from the dashed line: {found['expected_calibration_error']:.3f}."
    return chart(charts.reliability(found["bins"], of="files"), caption)


def _mistakes(report: dict[str, Any], play: Play) -> Html:
    clips = "".join(
        f'<div class="clip">{play(one["path"])}<dl>'
        f'<dt>true</dt><dd><span class="right">{escape(one["is"])}</span> {one["right"]:.2f}, '
        f"rank {one['rank']}</dd>"
        f'<dt>predicted</dt><dd><span class="wrong">{escape(one["said"])}</span> '
        f"{one['score']:.2f}</dd><dt>file</dt><dd>{escape(one['path'])}</dd></dl></div>"
        for one in report["mistakes"]
    )
    kind = "clips pictures" if report["medium"] == "picture" else "clips"
    return Html(f'<div class="{kind}">{clips}</div>') if clips else Html()
