"""Charts: drawn by matplotlib, coloured by the page they stand on.

Charts are drawn in placeholder colours. Inline in a page they become CSS variables, so that a chart
turns dark with its page; in a file of its own they become the light theme's colours.
"""

from __future__ import annotations

import io
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import numpy.typing as npt

INK, MUTED, LINE, PAPER = "#010101", "#020202", "#030303", "#fefefe"
SERIES = tuple(f"#0a0a0{number}" for number in range(7))
VARIABLES = {INK: "ink", MUTED: "muted", LINE: "line", PAPER: "paper"} | {
    s: f"c{i}" for i, s in enumerate(SERIES)
}
LIGHT = {
    INK: "#16191f", MUTED: "#5c6573", LINE: "#dfe3e8", PAPER: "#ffffff",
    **dict(
        zip(
            SERIES,
            ("#2459c4", "#c2570c", "#14805e", "#8b3fb0", "#a8820a", "#c02a5e", "#4c5a6b"),
            strict=True,
        )
    ),
}  # fmt: skip
STYLE = {
    "svg.fonttype": "none", "svg.hashsalt": "timbre", "text.parse_math": False, "font.size": 10,
    "text.color": INK, "axes.edgecolor": LINE, "axes.labelcolor": MUTED, "axes.titlecolor": INK,
    "axes.titlesize": 10.5, "axes.titlelocation": "left", "axes.titleweight": "bold",
    "axes.labelsize": 9.5, "axes.spines.top": False, "axes.spines.right": False,
    "axes.grid": True, "axes.axisbelow": True, "grid.color": LINE, "grid.linewidth": 0.7,
    "xtick.color": LINE, "ytick.color": LINE, "xtick.labelcolor": MUTED, "ytick.labelcolor": MUTED,
    "xtick.labelsize": 9, "ytick.labelsize": 9, "lines.linewidth": 1.8, "legend.frameon": False,
    "legend.fontsize": 9, "figure.facecolor": "none", "axes.facecolor": "none",
    "figure.constrained_layout.use": True,
}  # fmt: skip


HALO = {"facecolor": PAPER, "edgecolor": "none", "pad": 0.6, "alpha": 0.75}


@contextmanager
def panels(
    count: int, *, columns: int, width: float = 10.0, height: float = 2.6
) -> Iterator[tuple[Any, list[Any]]]:
    """Yield a figure and `count` empty axes in rows of `columns`.

    width: inches of a row. height: inches of one panel.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(STYLE):
        rows = -(-count // columns)
        figure = Figure(figsize=(width, height * rows))
        axes = figure.subplots(rows, columns, squeeze=False).ravel().tolist()
        for unused in axes[count:]:
            unused.set_visible(False)
        yield figure, axes[:count]


def inline(figure: Any) -> str:
    """Return a figure as SVG for a page, in the page's colours, as wide as there is room."""
    text = _svg(figure)
    for colour, variable in VARIABLES.items():
        text = text.replace(colour, f"var(--{variable})")
    return re.sub(
        r'(<svg[^>]*?) width="[^"]*"',
        r"\1",
        re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", text, count=1),
        count=1,
    )


def alone(figure: Any) -> str:
    """Return a figure as an SVG file in the light theme's colours."""
    text = _svg(figure)
    for colour, light in LIGHT.items():
        text = text.replace(colour, light)
    return text.replace("<defs>", '<rect width="100%" height="100%" fill="#ffffff"/>\n<defs>', 1)


def _svg(figure: Any) -> str:
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    buffer = io.StringIO()
    # Laid out here: savefig would draw a figure twice, the first time for its layout alone.
    with mpl.rc_context(STYLE):
        FigureCanvasSVG(figure)
        engine = figure.get_layout_engine()
        engine.execute(figure)
    with mpl.rc_context(STYLE | {"figure.constrained_layout.use": False}):
        figure.set_layout_engine(None)
        figure.savefig(
            buffer,
            format="svg",
            metadata={"Date": None, "Creator": None, "Format": None, "Type": None},
        )
    figure.set_layout_engine(engine)
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def intervals(
    figures: dict[str, dict[str, float | None]], means: dict[str, tuple[float, float, float]]
) -> str:
    """Return one panel a figure: a dot a source, the mean as a line, its interval as a band.

    figures: by figure, by source. means: by figure (mean, low, high).
    """
    sources = list(next(iter(figures.values())))
    with panels(len(figures), columns=len(figures), height=0.9 + 0.32 * len(sources)) as (
        figure,
        axes,
    ):
        for ax, (name, values) in zip(axes, figures.items(), strict=True):
            mean, low, high = means[name]
            ax.axvspan(low, high, color=SERIES[0], alpha=0.14, linewidth=0)
            ax.axvline(mean, color=SERIES[0], linewidth=1.4)
            known = [(value, at) for at, value in enumerate(values.values()) if value is not None]
            ax.scatter(
                [value for value, _ in known],
                [at for _, at in known],
                s=42,
                color=SERIES[0],
                zorder=3,
            )
            for value, at in known:
                ax.annotate(
                    f"{value:.2f}",
                    (value, at),
                    (0, 7),
                    textcoords="offset points",
                    ha="center",
                    fontsize=8.5,
                    bbox=HALO,
                )
            ax.set(title=name, xlim=(0, 1.03), ylim=(len(sources) - 0.5, -0.7))
            ax.set_yticks(range(len(sources)), sources if ax is axes[0] else [""] * len(sources))
            ax.grid(visible=False, axis="y")
        return inline(figure)


def lines(
    plots: Sequence[tuple[str, str, Mapping[str, tuple[Sequence[float], Sequence[float]]]]],
    *,
    dots: bool = True,
) -> str:
    """Return panels side by side, each (title, what x is, {name: (x, y)})."""
    with panels(len(plots), columns=len(plots), height=3.0) as (figure, axes):
        for ax, (title, below, series) in zip(axes, plots, strict=True):
            for number, (name, (x, y)) in enumerate(series.items()):
                ax.plot(
                    x, y, "o-" if dots else "-", markersize=4, color=SERIES[number % 7], label=name
                )
            ax.set(title=title, xlabel=below)
            ax.margins(y=0.12)
            at = sorted({value for x, _ in series.values() for value in x})
            if at and at[0] > 0 and at[-1] > 30 * at[0]:
                ax.set_xscale("log")
                ax.minorticks_off()
            if len(at) <= 12:
                ax.set_xticks(at, [f"{value:g}" for value in at])
        if len(plots[-1][2]) > 1:
            axes[-1].legend(loc="upper left", bbox_to_anchor=(1.01, 1.0))
        return inline(figure)


def bars(rows: Sequence[Sequence[Any]], *, beside: str) -> str:
    """Return a bar for each (name, value, group), coloured by group, on a log scale if positive."""
    groups = list(dict.fromkeys(group for _, _, group in rows))
    with panels(1, columns=1, height=3.4) as (figure, (ax,)):
        for number, group in enumerate(groups):
            those = [(at, value) for at, (_, value, of) in enumerate(rows) if of == group]
            ax.bar(*zip(*those, strict=True), width=0.8, color=SERIES[number % 7], label=group)
        ax.set(ylabel=beside, xlim=(-0.6, len(rows) - 0.4))
        if any(value > 0 for _, value, _ in rows):
            ax.set_yscale("log")
            ax.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
            ax.yaxis.set_minor_formatter(lambda _value, _at: "")
        names = [name for name, _, _ in rows] if len(rows) <= 40 else [""] * len(rows)
        ax.set_xticks(range(len(rows)), names, rotation=90, fontsize=7.5)
        ax.grid(visible=False, axis="x")
        ax.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0))
        return inline(figure)


def multiples(
    curves: dict[str, tuple[npt.NDArray[Any], npt.NDArray[Any]]],
    *,
    marks: dict[str, tuple[float, float]],
    notes: dict[str, str],
    below: str,
    beside: str,
) -> str:
    """Return one small panel a label with a curve, a mark on it, and a note in the title."""
    with panels(len(curves), columns=4, height=2.05) as (figure, axes):
        for number, (ax, (label, (x, y))) in enumerate(zip(axes, curves.items(), strict=True)):
            ax.plot(x, y, color=SERIES[0])
            ax.plot(
                *marks[label],
                "o",
                color=SERIES[1],
                markersize=6,
                markeredgecolor=PAPER,
                clip_on=False,
                zorder=4,
            )
            ax.set_title(label)
            ax.set_title(notes[label], loc="right", fontsize=9, fontweight="normal", color=MUTED)
            ax.set(xlim=(0, 1), ylim=(0, 1.02))
            ax.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
            ax.set_yticks([0, 0.5, 1], ["0", "0.5", "1"])
            if number % 4 == 0:
                ax.set_ylabel(beside)
            if number // 4 == (len(curves) - 1) // 4:
                ax.set_xlabel(below)
        return inline(figure)


def reliability(bins: Sequence[dict[str, float]], *, of: str = "windows x labels") -> str:
    """Return two panels: share of true ones by score, and how often each score was predicted.

    of: what is counted.
    """
    known = [one for one in bins if one["count"]]
    with panels(2, columns=2, height=3.4) as (figure, (left, right)):
        left.plot([0, 1], [0, 1], "--", color=MUTED, linewidth=1)
        left.plot(
            [b["score"] for b in known],
            [b["share"] for b in known],
            "o-",
            color=SERIES[0],
            clip_on=False,
        )
        left.set(
            title="What a score is worth",
            xlabel="score",
            ylabel="share that was true",
            xlim=(0, 1),
            ylim=(0, 1),
        )
        given = [(at / len(bins), b["count"]) for at, b in enumerate(bins) if b["count"]]
        right.bar(*zip(*given, strict=True), width=0.92 / len(bins), align="edge", color=SERIES[0])
        right.set(
            title="How often it was given", xlabel="score", ylabel=of, yscale="log", xlim=(0, 1)
        )
        right.set_ylim(bottom=0.7)  # so that a single one has a bar
        right.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        right.yaxis.set_minor_formatter(lambda _value, _at: "")
        right.grid(visible=False, axis="x")
        return inline(figure)
