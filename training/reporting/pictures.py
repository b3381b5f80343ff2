"""Reports on picture models: report.md for the artefact, a folder with report.html and .json."""

from __future__ import annotations

from dataclasses import asdict
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeAlias

from common.page import (
    Html,
    bar,
    cards,
    chart,
    escape,
    folded,
    join,
    page,
    paragraph,
    table,
)
from models.promote import latency_ms
from models.store import read
from training.reporting import charts, training_run
from training.reporting.confusion import confusion, pairs_of
from training.reporting.folder import size_of, write_folder
from training.reporting.markdown import table as markdown_table
from training.reporting.sections import material, origin

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

Facts = dict[str, Any]
PictureUri: TypeAlias = "Callable[[int], str]"
"""From a row of the pack to a picture as a data URI."""
HEATMAPS = 6
HEATMAP_NOTE = (
    "The first of these mistakes again, with Grad-CAM on the last feature maps: the hotter a "
    "place, the more it contributed to the guess. The resolution is that of the feature maps."
)
NETWORKS = {
    "minimum loss": "minimum_loss",
    "best epoch": "best_epoch",
    "valid F1": "valid_macro_f1",
    "test accuracy": "test_accuracy",
    "test loss": "test_loss",
    "macro-F1": "macro_f1",
    "majority": "majority",
    "s to best": "seconds_to_best",
    "s in all": "seconds",
    "weights": "weights",
}
NETWORKS_NOTES = {
    "minimum loss": "Minimum loss, best epoch: of the validation part.",
    "test loss": "Test loss: mean cross-entropy of the served scores, which are calibrated; all "
    "pictures count alike.",
    "macro-F1": "Macro-F1: every class counts alike.",
    "majority": "Majority: the accuracy of always guessing the most frequent class.",
    "s in all": "Seconds: of the machine that trained, including its other work.",
}
"""What a column of the table of networks is, if it is there."""
MISTAKES_NOTE = (
    "Wrong guesses with the highest scores, each pair of classes once. Rank: the place of the true "
    "class among the guesses."
)
TESTS_NOTE = (
    "Every row is evaluated with a network that saw none of its pictures. Top-k: one of k guesses "
    "is right. The mean is over the first row of each source."
)
UNTESTED_NOTE = (
    "No part tests: these are the pictures that chose the network and its epoch, and all scores "
    "here are too good. Top-k: one of k guesses is right."
)


KERAS = "a trained network, for Keras: from pixels to logits"
BESIDE = {
    "map.html": "which pictures are similar for the network",
    "split.csv": "the part of each picture: training, validation or test",
}
"""What the further files of a report hold."""


def write(
    artefact: Path,
    facts: Facts,
    picture: PictureUri,
    heatmap: PictureUri | None = None,
    *,
    split: str,
    beside: Mapping[str, str | bytes] = MappingProxyType({}),
) -> Path:
    """Write the report of an artefact and return its folder.

    picture, heatmap: of a row. split: split.csv, the part of each picture. beside: more files, name
    to text or bytes.
    """
    model = read(artefact)
    kept = {
        key: asdict(model.manifest)[key] for key in ("version", "created", "libraries", "origin")
    }
    files = {
        "size": f"{size_of(artefact) / 1e6:.2f} MB",
        "one picture on the machine that trained": f"{latency_ms(model):.2f} ms",
    }
    report = {**facts, **kept, "files": files, "beside": ["split.csv", *beside]}
    page = render(report, picture, heatmap)
    return write_folder(artefact, report, page, split=split, beside=beside)


def render(report: Facts, picture: PictureUri, heatmap: PictureUri | None = None) -> str:
    """Return report.html of report.json."""
    mean, files = report["mean"], report["files"]
    figures = [
        (
            f"{mean['top1']:.1%}",
            f"right at the first guess (always guessing the most frequent: {mean['majority']:.1%})",
        ),
        *(
            (f"{mean[f'top{k}']:.1%}", f"right within {k} guesses")
            for k in (report["top"],)
            if k > 1
        ),
        (f"{mean['macro_f1']:.3f}", "macro-F1"),
        *((text, what) for what, text in files.items()),
    ]
    sections = [
        ("Tests", _tests(report)),
        ("Networks", join(paragraph(_networks_note(report), note=True), table(*_networks(report)))),
        ("Split", training_run.split_counts(report.get("counts", {}), report["classes"])),
        ("Classes", _classes(report)),
        *_tables(report),
        ("Learning", training_run.best(report)),
        ("All networks", training_run.candidates(report)),
        ("Epochs looked at", training_run.looks(report)),
        ("More files", _beside(report.get("beside", []))),
        ("Confusion", _confusion(report)),
        ("Confusion after each stage", _stages(report)),
        ("Calibration", _calibration(report["reliability"])),
        ("Worst mistakes", _mistakes(report["mistakes"], picture, MISTAKES_NOTE)),
        ("Heatmaps", _heatmaps(report["mistakes"], heatmap)),
        ("Material", material(report)),
        ("Origin", origin(report)),
    ]
    title = f"{report['name']}, version {report['version']}"
    return page(title, sections, lead=paragraph(report["about"]), before=cards(figures))


def markdown(facts: Facts) -> str:
    """Return report.md."""
    confused = [list(one) for one in facts["confused"]]
    labels = [
        [one["label"], one["support"], one["f1"], *_tops(one, facts), one.get("loss")]
        for one in facts["labels"][: training_run.SHOWN]
    ]
    parts = [
        f"# {facts['name']}",
        facts["about"],
        "## Tests",
        _tests_note(facts),
        markdown_table(*_test_rows(facts)),
        "## Networks",
        _networks_note(facts),
        markdown_table(*_networks(facts)),
        "## Classes, the hardest first",
        markdown_table(["class", "pictures", "F1", *_top_names(facts), "loss"], labels),
        "## Most frequent confusions",
        markdown_table(["true", "predicted", "pictures"], confused),
        "## Material",
        markdown_table(
            ["source", "licence", "use"], [list(one.values()) for one in facts["provenance"]]
        ),
    ]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _test_rows(report: Facts) -> tuple[list[str], list[list[Any]]]:
    tops = [key for key in report["mean"] if key.startswith("top")]
    keys = [*tops, "loss", "macro_f1", "majority", "calibration_error"]
    head = [
        "evaluated on",
        "pictures",
        *(f"top-{key[3:]}" for key in tops),
        "loss",
        "macro-F1",
        "majority",
        "calibration error",
    ]
    rows = [
        [_what(name, test_set), one["pictures"], *(one.get(key) for key in keys)]
        for name, test_sets in report["tests"].items()
        for test_set, one in test_sets.items()
    ]
    mean = [["mean", None, *(report["mean"].get(key) for key in keys)]] if len(rows) > 1 else []
    return head, rows + mean


def _what(name: str, test_set: str) -> str:
    return test_set if name == "all" else f"{name}, never seen: {test_set}"


def _tests(report: Facts) -> Html:
    head, rows = _test_rows(report)
    return join(paragraph(_tests_note(report), note=True), table(head, rows, strong="mean"))


def _tests_note(report: Facts) -> str:
    # Reports before 0.3 do not say it, and were always tested.
    return TESTS_NOTE if report.get("tested", True) else UNTESTED_NOTE


def _networks(report: Facts) -> tuple[list[str], list[list[Any]]]:
    networks = report["networks"]
    known = {
        head: key
        for head, key in NETWORKS.items()
        if any(one.get(key) is not None for one in networks.values())
    }
    rows = [
        [name, *(_cell(one.get(key), key) for key in known.values())]
        for name, one in networks.items()
    ]
    return ["network", *known], rows


def _networks_note(report: Facts) -> str:
    head, rows = _networks(report)
    first = ["The best on the validation part first."] if len(rows) > 1 else []
    return " ".join(first + [note for name, note in NETWORKS_NOTES.items() if name in head])


def _cell(value: Any, key: str) -> Any:
    if value is None:
        return None
    return (
        f"{value:,.1f}"
        if key.startswith("seconds")
        else f"{value:,}"
        if key == "weights"
        else value
    )


def _classes(report: Facts) -> Html:
    rows = [
        [
            one["label"],
            one["support"],
            bar(one["f1"]),
            *map(bar, _tops(one, report)),
            one.get("loss"),
        ]
        for one in report["labels"]
    ]
    note = paragraph("The hardest first. Loss: mean cross-entropy.", note=True)
    return join(
        note,
        training_run.long_table(["class", "pictures", "F1", *_top_names(report), "loss"], rows),
    )


def _top_names(report: Facts) -> list[str]:
    return ["top-1", f"top-{report['top']}"] if report["top"] > 1 else ["top-1"]


def _tops(one: Facts, report: Facts) -> list[float]:
    return [one["top1"], one["topk"]] if report["top"] > 1 else [one["top1"]]


def _confusion(report: Facts) -> Html:
    pairs = table(["true", "predicted", "pictures"], report["confused"], words=["predicted"])
    heading = Html("<h3>Most frequent confusions</h3>")
    note = paragraph(
        "Row: the true class; column: the predicted one; in percent of the row's pictures.",
        note=True,
    )
    # Reports before 0.3 have the matrix of few classes alone.
    found = report.get("confusion_pairs") or pairs_of(report["confusion"] or [])
    cells = confusion(report["classes"], found)
    return join(note, cells, heading, pairs)


def _tables(report: Facts) -> list[tuple[str, Html]]:
    """Return the tables that only some models have."""
    return [(heading, _table(one)) for heading, one in report.get("tables", {}).items()]


def _table(one: Facts) -> Html:
    """Return a table; with bars, the table is folded below their chart."""
    note = paragraph(one["note"], note=True)
    if "bars" not in one:
        return join(note, table(one["head"], one["rows"]))
    at = [one["head"].index(column) for column in one["bars"]]
    drawn = charts.bars([[row[i] for i in at] for row in one["rows"]], beside=one["bars"][1])
    rows = [
        [f"{cell:.2g}" if isinstance(cell, float) else cell for cell in row] for row in one["rows"]
    ]
    caption = "A bar a layer, in the order of the network; the scale is logarithmic."
    return join(
        note, chart(drawn, caption), folded(f"All {len(rows)} layers", table(one["head"], rows))
    )


def _beside(names: Sequence[str]) -> Html:
    links = "".join(
        f'<p><a href="{name}">{name}</a>: '
        f"{KERAS if name.endswith('.keras') else BESIDE.get(name, name)}.</p>"
        for name in names
    )
    return Html(links)


def _stages(report: Facts) -> Html:
    drawn = report.get("matrices", {}).items()
    return join(
        *(
            join(Html(f"<h3>{escape(name)}</h3>"), confusion(report["classes"], pairs))
            for name, pairs in drawn
        )
    )


def _calibration(reliability: Facts) -> Html:
    distance = reliability["expected_calibration_error"]
    caption = (
        "The score of the first guess. On the dashed line it is a probability. "
        f"Mean distance from it: {distance:.3f}."
    )
    return chart(charts.reliability(reliability["bins"], of="pictures"), caption)


def _heatmaps(mistakes: list[Facts], heatmap: PictureUri | None) -> Html:
    return _mistakes(mistakes[:HEATMAPS], heatmap, HEATMAP_NOTE) if heatmap else Html()


def _mistakes(mistakes: list[Facts], picture: PictureUri, note: str) -> Html:
    clips = "".join(_mistake(one, picture(one["row"])) for one in mistakes)
    grid = Html(f'<div class="clips pictures">{clips}</div>')
    return join(paragraph(note, note=True), grid) if mistakes else Html()


def _mistake(one: Facts, picture: str) -> str:
    rank = f", rank {one['rank']}" if "rank" in one else ""
    source = f"<dt>source</dt><dd>{escape(one['source'])}</dd>" if one["source"] != "all" else ""
    return (
        f'<div class="clip"><img alt="{escape(one["path"])}" src="{picture}"><dl>'
        f'<dt>true</dt><dd><span class="right">{escape(one["is"])}</span> '
        f'<span class="brief">{one["right"]:.2f}{rank}</span></dd>'
        f'<dt>predicted</dt><dd><span class="wrong">{escape(one["said"])}</span> '
        f'<span class="brief">{one["score"]:.2f}</span></dd>'
        f"<dt>file</dt><dd>{escape(one['path'].rsplit('/', 1)[-1])}</dd>{source}</dl></div>"
    )
