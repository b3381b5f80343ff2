"""Charts: drawn by matplotlib, coloured by the page they stand on.

Charts are drawn in placeholder colours. Inline in a page they become CSS variables, so that a chart
turns dark with its page; in a file of its own they become the light theme's colours.
"""

from __future__ import annotations

import io
import re
from contextlib import contextmanager
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from common.page import Html, legend
from training.common import colours

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    import numpy.typing as npt

INK, MUTED, LINE, PAPER = "#010101", "#020202", "#030303", "#fefefe"
SERIES = tuple(f"#0a0a0{number}" for number in range(7))
VARIABLES = {INK: "ink", MUTED: "muted", LINE: "line", PAPER: "paper"} | {
    s: f"c{i}" for i, s in enumerate(SERIES)
}
LIGHT = {
    INK: "#16191f", MUTED: "#5c6573", LINE: "#dfe3e8", PAPER: "#ffffff",
    **dict(zip(SERIES, colours.SERIES, strict=True)),
}  # fmt: skip
DASHES = ("-", "--", ":")
"""Line styles of the series of one colour."""
PANEL = 4.2
"""Inches of a panel that stands alone: as wide as a telephone's screen at the page's type size."""
SMALL = 3.6
"""Inches of a panel of `multiples`."""
TITLE = 20
"""Characters of a label in a title or beside an axis; the tables have the whole."""
FEWEST = 3
"""Points from which on a curve says more than a table."""
LOGARITHMIC = 10
"""Ratio of the highest x to the lowest from which on the axis is logarithmic."""
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


Draw: TypeAlias = "Callable[[Any], None]"
"""Draws on axes of matplotlib."""


class Key(NamedTuple):
    """An entry of a legend."""

    name: str
    number: int
    """Of its colour, an index of SERIES."""
    kind: str = ""
    """Of its mark: empty for a filled one, open or dashed."""


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


def short(text: str, most: int = TITLE) -> str:
    """Return a text of at most `most` characters; what is left out shows as an ellipsis."""
    return text if len(text) <= most else text[: most - 1].rstrip() + "\u2026"


def keys_of(names: Sequence[str], numbers: Sequence[int] = ()) -> list[Key]:
    """Return the legend of some series; none for one alone. numbers: of their colours."""
    if len(names) < 2:
        return []
    numbers = numbers or range(len(names))
    return [
        Key(name, number % len(SERIES), "dashed" if number >= len(SERIES) else "")
        for name, number in zip(names, numbers, strict=True)
    ]


def apart(
    plots: Iterable[Draw],
    *,
    keys: Sequence[Key] = (),
    width: float = PANEL,
    height: float = 2.7,
    kind: str = "",
) -> Html:
    """Return each plot as a chart of its own below the legend; a page has as many in a row as fit.

    kind: small, for narrow ones.
    """
    drawn = "".join(_drawn(draw, width, height) for draw in plots)
    name = f"panels {kind}".strip()
    return Html(f'{legend(_listed(keys))}<div class="{name}">{drawn}</div>')


def one(draw: Draw, *, keys: Sequence[Key] = (), height: float = 3.4) -> Html:
    """Return a plot that fills the page, below its legend, and another for narrow pages."""
    drawn = "".join(
        f'<div class="{kind}">{_drawn(draw, width, height)}</div>'
        for kind, width in (("wide", 10.0), ("narrow", PANEL))
    )
    return Html(f'{legend(_listed(keys))}<div class="panels one">{drawn}</div>')


def together(plots: Sequence[Draw], *, keys: Sequence[Key] = (), height: float = 2.7) -> str:
    """Return plots side by side as an SVG file in the light theme's colours."""
    from matplotlib.lines import Line2D

    width = max(8.5, 3.6 * len(plots))
    with panels(len(plots), columns=len(plots), width=width, height=height) as (figure, axes):
        for draw, ax in zip(plots, axes, strict=True):
            draw(ax)
        marks = [
            Line2D([], [], marker="o", linestyle="--" if key.kind == "dashed" else "none",
                   color=SERIES[key.number], label=key.name,
                   markerfacecolor="none" if key.kind == "open" else SERIES[key.number])
            for key in keys
        ]  # fmt: skip
        if marks:
            figure.legend(handles=marks, loc="outside upper left", ncols=len(marks))
        return alone(figure)


def _listed(keys: Sequence[Key]) -> list[tuple[str, str, str]]:
    return [(key.name, f"var(--c{key.number})", key.kind) for key in keys]


def _drawn(draw: Draw, width: float, height: float) -> str:
    with panels(1, columns=1, width=width, height=height) as (figure, (ax,)):
        draw(ax)
        return inline(figure)


def intervals(
    figures: dict[str, dict[str, float | None]], means: dict[str, tuple[float, float, float]]
) -> Html:
    """Return one panel a figure: a dot a source, the mean as a line, its interval as a band.

    figures: by figure, by source; sources without any have no row. means: by figure (mean, low,
    high); a figure without has no panel.
    """
    sources = [
        name
        for name in next(iter(figures.values()))
        if any(values[name] is not None for values in figures.values())
    ]

    def draw(ax: Any, name: str) -> None:
        mean, low, high = means[name]
        if low < high:
            ax.axvspan(low, high, color=SERIES[0], alpha=0.14, linewidth=0)
        ax.axvline(mean, color=SERIES[0], linewidth=1.4)
        for at, source in enumerate(sources):
            value = figures[name][source]
            if value is not None:
                ax.plot(value, at, "o", color=SERIES[0], markersize=6.5, zorder=3)
            text = "-" if value is None else f"{value:.2f}"
            ax.annotate(text, (1.02, at), xycoords=("axes fraction", "data"), va="center",
                        fontsize=9, annotation_clip=False)  # fmt: skip
        ax.set(title=name, xlim=(-0.02, 1.03), ylim=(len(sources) - 0.4, -0.6))
        ax.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "0.25", "0.5", "0.75", "1"])
        ax.set_yticks(range(len(sources)), [short(source) for source in sources])
        ax.grid(visible=False, axis="y")

    shown = [partial(draw, name=name) for name in figures if name in means]
    return apart(shown, height=0.8 + 0.27 * len(sources))


def lines(
    plots: Sequence[tuple[str, str, Mapping[str, tuple[Sequence[float], Sequence[float]]]]],
    *,
    dots: bool = True,
    numbers: Mapping[str, int] = MappingProxyType({}),
) -> Html:
    """Return panels, each (title, what x is, {name: (x, y)}); a name has one colour in all.

    numbers: of the colours, by name; else in order.
    """
    names = list(dict.fromkeys(name for _, _, series in plots for name in series))
    colour = dict(numbers) or {name: number for number, name in enumerate(names)}

    def draw(ax: Any, title: str, below: str, series: Any) -> None:
        for name, (x, y) in series.items():
            dash = DASHES[colour[name] // len(SERIES) % len(DASHES)]
            ax.plot(x, y, ("o" if dots else "") + dash, markersize=4,
                    color=SERIES[colour[name] % len(SERIES)])  # fmt: skip
        ax.set(title=title, xlabel=below)
        ax.margins(y=0.12)
        _ticks(ax, sorted({value for x, _ in series.values() for value in x}))

    return apart(
        [partial(draw, title=title, below=below, series=series) for title, below, series in plots],
        keys=keys_of(names, [colour[name] for name in names]),
    )


def _ticks(ax: Any, at: Sequence[float]) -> None:
    """Put a tick at each x of few, on a logarithmic axis where they are far apart."""
    from matplotlib.ticker import MaxNLocator

    if at and at[0] > 0 and at[-1] >= LOGARITHMIC * at[0] and len(at) <= 12:
        ax.set_xscale("log")
        ax.minorticks_off()
    if len(at) <= 12:
        ax.set_xticks(at, [f"{value:g}" for value in at])
    else:
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))


def bars(rows: Sequence[Sequence[Any]], *, beside: str) -> Html:
    """Return a bar for each (name, value, group), coloured by group, on a log scale if positive."""
    groups = list(dict.fromkeys(group for _, _, group in rows))

    def draw(ax: Any) -> None:
        for number, group in enumerate(groups):
            those = [(at, value) for at, (_, value, of) in enumerate(rows) if of == group]
            ax.bar(*zip(*those, strict=True), width=0.8, color=SERIES[number % 7])
        ax.set(ylabel=beside, xlim=(-0.6, len(rows) - 0.4))
        if any(value > 0 for _, value, _ in rows):
            ax.set_yscale("log")
            ax.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
            ax.yaxis.set_minor_formatter(lambda _value, _at: "")
        fits = len(rows) <= 4 * ax.figure.get_figwidth()
        names = [short(name) if fits else "" for name, _, _ in rows]
        ax.set_xticks(range(len(rows)), names, rotation=90, fontsize=7.5)
        ax.grid(visible=False, axis="x")

    return one(draw, keys=keys_of(groups))


def multiples(
    curves: dict[str, tuple[npt.NDArray[Any], npt.NDArray[Any]]],
    *,
    marks: dict[str, tuple[float, float]],
    notes: dict[str, str],
    below: str,
    beside: str,
) -> Html:
    """Return one small panel a label with a curve, a mark on it, and a note in the title."""

    def draw(ax: Any, label: str) -> None:
        ax.plot(*curves[label], color=SERIES[0])
        ax.plot(*marks[label], "o", color=SERIES[1], markersize=6, markeredgecolor=PAPER,
                clip_on=False, zorder=4)  # fmt: skip
        ax.set_title(short(label))
        ax.set_title(notes[label], loc="right", fontsize=9, fontweight="normal", color=MUTED)
        ax.set(xlim=(0, 1), ylim=(0, 1.02), xlabel=below, ylabel=beside)
        ax.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
        ax.set_yticks([0, 0.5, 1], ["0", "0.5", "1"])

    plots = [partial(draw, label=label) for label in curves]
    return apart(plots, width=SMALL, height=2.2, kind="small")


def reliability(bins: Sequence[dict[str, float]], *, of: str = "windows x labels") -> Html:
    """Return two panels: share of true ones by score, and how often each score was predicted.

    of: what is counted.
    """
    known = [one for one in bins if one["count"]]

    def left(ax: Any) -> None:
        ax.plot([0, 1], [0, 1], "--", color=MUTED, linewidth=1)
        x, y = [b["score"] for b in known], [b["share"] for b in known]
        ax.plot(x, y, "o-", color=SERIES[0], clip_on=False)
        ax.set(title="What a score is worth", xlabel="score", ylabel="share that was true",
               xlim=(-0.03, 1.03), ylim=(-0.03, 1.05))  # fmt: skip

    def right(ax: Any) -> None:
        given = [(at / len(bins), b["count"]) for at, b in enumerate(bins) if b["count"]]
        ax.bar(*zip(*given, strict=True), width=0.92 / len(bins), align="edge", color=SERIES[0])
        ax.set(title="How often it was given", xlabel="score", ylabel=of, yscale="log", xlim=(0, 1))
        ax.set_ylim(bottom=0.7)  # so that a single one has a bar
        ax.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        ax.yaxis.set_minor_formatter(lambda _value, _at: "")
        ax.grid(visible=False, axis="x")

    return apart([left, right], height=3.0)
