#!/usr/bin/env python3
"""Draw the Grafana board with the numbers of a real Prometheus, as docs/board.png.

    .venv/bin/python tools/board_picture.py [--minutes 3] [--out docs/board.png]

Starts a server of the shipped models and a Prometheus with the configuration of deploy/prometheus,
opens streams and posts clips, then asks every expression of the board and draws the panels where
they lie on it. It is no picture of Grafana: colours and letters are those of matplotlib.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import aiohttp
import matplotlib as mpl
import soundfile
import soxr
from PIL import Image

from common.errors import Busy
from service.client import Client
from tests.helpers.server_process import ROOT, free_port, server_process

mpl.use("agg")
from matplotlib import pyplot as plt
from matplotlib.ticker import EngFormatter, FuncFormatter

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matplotlib.axes import Axes

BOARD = json.loads((ROOT / "deploy" / "grafana" / "timbre.json").read_text())
SOUND = ROOT / "examples" / "quartet.ogg"
RATE, CHUNK_S = 22_050, 0.25
STEP_S, RATE_INTERVAL = 5, "20s"
"""Of the configuration: a scrape each 5 s, and four of them for a rate, as Grafana has it."""
UNITS = {"cps": "/s", "reqps": "req/s", "cpm": "/min", "s": "s"}
MODELS = ("instruments", "instruments", "instruments-net")
COLUMNS, ROW_INCHES, COLUMN_INCHES = 24, 0.34, 0.62
Line = tuple[str, list[tuple[float, float]]]
COLOURS = 256
"""Of the file, which is a third as large as one of all."""
GROUND, PANEL, INK = "#111217", "#181b1f", "#ccccdc"


@contextmanager
def prometheus(target: str) -> Iterator[str]:
    """Run a Prometheus with our configuration that asks one address; yield that of its API."""
    port = free_port()
    with tempfile.TemporaryDirectory() as name:
        folder, source = Path(name), ROOT / "deploy" / "prometheus"
        text = (source / "prometheus.yml").read_text().replace("127.0.0.1:8002", target)
        (folder / "prometheus.yml").write_text(text)
        rules = source / "timbre.rules.yml"
        (folder / rules.name).write_text(rules.read_text())
        options = [f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data"]
        options.append(f"--web.listen-address=127.0.0.1:{port}")
        command = [shutil.which("prometheus") or "prometheus", *options]
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)  # noqa: S603 - our options
        try:
            yield f"http://127.0.0.1:{port}/api/v1"
        finally:
            process.terminate()
            process.wait(60)


async def load(url: str, until: float) -> None:
    """Stream the example to each model, one after the other joining, and post it as a clip."""
    samples, rate = await asyncio.to_thread(soundfile.read, SOUND, dtype="float32", always_2d=True)
    mono = soxr.resample(samples.mean(1), rate, RATE)
    client = Client(url)
    tasks = [
        asyncio.create_task(_stream(client, model, f"room-{number}", mono, 20.0 * number, until))
        for number, model in enumerate(MODELS)
    ]
    while time.monotonic() < until:
        # A busy server is a line on the board too.
        with suppress(Busy):
            await client.classify(SOUND, "instruments")
        await asyncio.sleep(1.0)
    await asyncio.gather(*tasks)


async def _stream(
    client: Client, model: str, source: str, mono: Any, wait_s: float, until: float
) -> None:
    await asyncio.sleep(wait_s)
    size, at = round(CHUNK_S * RATE), 0
    async with client.stream(model, sample_rate=RATE, source=source, publish=True) as stream:

        async def read() -> None:
            async for _ in stream:
                pass

        reading, due = asyncio.create_task(read()), time.monotonic()
        while due < until:
            await stream.send(mono[at : at + size])
            at = (at + size) % (len(mono) - size)
            # At the pace of its clock, or it would be older with every chunk.
            due += CHUNK_S
            await asyncio.sleep(due - time.monotonic())
        await stream.finish()
        await reading


async def numbers(api: str, panel: dict[str, Any], begin: float) -> list[Line]:
    """Return the lines of a panel: name, and (minute, value) of each point."""
    lines = []
    async with aiohttp.ClientSession() as http:
        for target in panel["targets"]:
            text = target["expr"].replace("$__rate_interval", RATE_INTERVAL)
            query = re.sub(r"\$(instance|model)", ".*", text)
            asked = {"query": query, "start": begin, "end": time.time(), "step": STEP_S}
            async with http.get(api + "/query_range", params=asked) as response:
                found = (await response.json())["data"]["result"]
            for each in found:
                labels = each["metric"]
                form = target["legendFormat"] or ", ".join(
                    f"{{{{{name}}}}}" for name in labels if name not in ("__name__", "job")
                )
                name = re.sub(r"{{(\w+)}}", lambda m, own=labels: own.get(m[1], ""), form)
                points = [((at - begin) / 60, float(value)) for at, value in each["values"]]
                lines.append((name, points))
    return lines


def draw(axes: Axes, panel: dict[str, Any], lines: list[Line]) -> None:
    """Draw one panel: lines over time, one number, or a table."""
    axes.set_title(panel["title"], loc="left", color=INK, fontsize=9)
    axes.set_facecolor(PANEL)
    axes.tick_params(colors=INK, labelsize=7)
    for side in axes.spines.values():
        side.set_visible(False)
    if panel["type"] == "timeseries" and lines:
        _draw_lines(axes, panel, lines)
        return
    axes.set_xticks([])
    axes.set_yticks([])
    text, size = "No data", 10.0
    if lines and panel["type"] == "stat":
        text, size = f"{lines[0][1][-1][1]:g}", 28.0
    elif lines:
        text, size = "\n".join(name for name, _ in lines), 8.0
    axes.text(
        0.5, 0.5, text, color=INK, fontsize=size, ha="center", va="center", transform=axes.transAxes
    )


def _draw_lines(axes: Axes, panel: dict[str, Any], lines: list[Line]) -> None:
    unit = UNITS.get(panel["fieldConfig"]["defaults"].get("unit", ""), "")
    for name, points in lines:
        minutes, values = zip(*points, strict=True)
        (line,) = axes.plot(minutes, values, linewidth=1.2, label=name)
        axes.fill_between(minutes, values, alpha=0.1, color=line.get_color())
    axes.set_ylim(bottom=0)
    axes.grid(color="#2b2f36", linewidth=0.5)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda minute, _: f"{minute:g} min"))
    plain = FuncFormatter(lambda value, _: f"{value:g} {unit}".strip())
    axes.yaxis.set_major_formatter(EngFormatter(unit="s", sep=" ") if unit == "s" else plain)
    axes.legend(
        fontsize=6, labelcolor=INK, frameon=False, ncols=4, loc="upper left",
        bbox_to_anchor=(0, -0.12),
    )  # fmt: skip


async def picture(minutes: float, out: Path) -> None:
    """Run the load and draw the board."""
    port = free_port()
    options = ("--gateways", "2", "--metrics-port", str(port))
    with server_process(*options) as url, prometheus(f"127.0.0.1:{port}") as api:
        begin = time.time()
        await load(url, time.monotonic() + 60 * minutes)
        found = [(panel, await numbers(api, panel, begin)) for panel in BOARD["panels"]]
    rows = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel, _ in found)
    size = (COLUMNS * COLUMN_INCHES, rows * ROW_INCHES)
    figure = plt.figure(figsize=size, facecolor=GROUND)
    for panel, lines in found:
        place = panel["gridPos"]
        left, width = (place["x"] + 1.3) / COLUMNS, (place["w"] - 1.7) / COLUMNS
        bottom, height = 1 - (place["y"] + place["h"] - 1.9) / rows, (place["h"] - 3) / rows
        draw(figure.add_axes((left, bottom, width, height)), panel, lines)
    figure.savefig(out, dpi=90, facecolor=GROUND)
    with Image.open(out) as drawn:
        drawn.convert("RGB").quantize(COLOURS).save(out, optimize=True)


def main(argv: list[str] | None = None) -> None:
    """Draw the board."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "board.png")
    options = parser.parse_args(argv)
    asyncio.run(picture(options.minutes, options.out))


if __name__ == "__main__":
    main()
