"""Load on a server: clips by REST, live streams, or both at once; what came back, and how late.

Clips: N clients in a closed loop (each sends its next clip when the last is answered), or with
--rate in an open loop (the schedule is kept whatever comes back, and latency counts from the
scheduled time). Live streams are always an open loop. Without --url, a server of its own is started
on this machine, which then carries load and server both.
"""

from __future__ import annotations

import argparse
import asyncio
import shlex
import sys
import time
from contextlib import ExitStack, suppress
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

import aiohttp

from benchmarks import measure, report_page, server_process
from benchmarks.serving import clips, schedule, streams
from common.atomic import write_atomic
from common.strict_json import to_json

PREDECESSOR_S = 51.348
"""Seconds the predecessor needed for 1,000 requests of 100 clients."""
PROBE_S = 0.05
Kind = TypeVar("Kind", clips.Load, streams.Load)


def main(argv: list[str]) -> int:
    """Run `timbre bench load`; 1 when a clip or a window has no answer or a stream failed."""
    parser = _parser()
    given = parser.parse_args(argv)
    if given.report is not None and not given.report.parent.is_dir():
        parser.error(f"no folder {given.report.parent}")
    if given.requests is None:
        given.requests = 0 if given.streams else 1_000
    if not given.requests and not given.streams:
        parser.error("nothing to do: add --requests or --streams")
    clip_load = _load_of(clips.Load, given) if given.requests else None
    stream_load = _load_of(streams.Load, given) if given.streams else None
    lag: dict[str, float] = {}
    with ExitStack() as stack:
        where = (
            (given.url, 0)
            if given.url
            else stack.enter_context(
                server_process.served(shlex.split(given.serve), through_redis=given.redis, lag=lag)
            )
        )
        report = run(*where, clip_load=clip_load, stream_load=stream_load)
    if lag:
        report["loop_lag_ms"] = lag
    report["command"] = shlex.join(["timbre", "bench", "load", *argv])
    print(text(report))
    if given.report:
        write_atomic(given.report.with_suffix(".json"), to_json(report, indent=1))
        write_atomic(given.report.with_suffix(".html"), report_page.render(report))
        print(f"report   {given.report.with_suffix('.html')}, {given.report.with_suffix('.json')}")
    return 0 if report["right"] else 1


def run(
    url: str, pid: int, *, clip_load: clips.Load | None, stream_load: streams.Load | None
) -> dict[str, Any]:
    """Run the load and return the report; pid: the server's process, 0 if it is not ours."""
    from uvloop import run as in_loop

    machine = measure.machine()
    # Made before the clock runs.
    bodies = clips.bodies_of(clip_load) if clip_load else []
    sound = streams.sound_of(stream_load) if stream_load else b""
    cpu, own, begin = (
        server_process.cost(pid)[0] if pid else 0.0,
        time.process_time(),
        time.monotonic(),
    )
    both = _Both(url, clip_load, stream_load)
    in_loop(both.run(bodies, sound))
    seconds = time.monotonic() - begin
    report: dict[str, Any] = {
        "machine": machine,
        "seconds": round(seconds, 3),
        "pulse_ms": schedule.summary(both.pulse_ms),
        "lag_ms": schedule.summary(both.lag_ms),
        "generator": {"cpu": round((time.process_time() - own) / seconds, 3)},
        "right": both.right,
    }
    if pid:
        now, mib = server_process.cost(pid)
        report["server"] = {"cpu": round((now - cpu) / seconds, 3), "mib": round(mib)}
    if clip_load and both.clips:
        report["clips"] = clip_report(clip_load, both.clips)
    if stream_load and both.streams:
        report["streams"] = stream_report(stream_load, both.streams)
    return report


def tally_of(url: str, stream_load: streams.Load) -> streams.Tally:
    """Run streams alone and return what became of them."""
    from uvloop import run as in_loop

    return in_loop(streams.run(url, stream_load, streams.sound_of(stream_load)))


class _Both:
    """Clips and streams at one time, and the latency of /livez meanwhile."""

    def __init__(
        self, url: str, clip_load: clips.Load | None, stream_load: streams.Load | None
    ) -> None:
        self.clips: clips.Tally | None = None
        self.streams: streams.Tally | None = None
        self.pulse_ms: list[float] = []
        """Latency of /livez from its scheduled time."""
        self.lag_ms: list[float] = []
        """Lag of this program's own event loop."""
        self._url, self._clip_load, self._stream_load = url, clip_load, stream_load

    @property
    def right(self) -> bool:
        """Whether every clip and window has one correct result or was reported as dropped."""
        lost = self.streams is not None and (self.streams.missing or self.streams.failed)
        return not lost and not (self.clips is not None and self.clips.bad)

    async def run(self, bodies: list[bytes], sound: bytes) -> None:
        probing = asyncio.create_task(self._probe())
        await asyncio.gather(self._run_clips(bodies), self._run_streams(sound))
        probing.cancel()
        with suppress(asyncio.CancelledError):
            await probing

    async def _run_clips(self, bodies: list[bytes]) -> None:
        if self._clip_load:
            self.clips = await clips.run(self._url, self._clip_load, bodies)

    async def _run_streams(self, sound: bytes) -> None:
        if self._stream_load:
            self.streams = await streams.run(self._url, self._stream_load, sound)

    async def _probe(self) -> None:
        """Request /livez at fixed times, whatever comes back: a bound of the server's loop lag."""
        requests: set[asyncio.Task[None]] = set()
        async with aiohttp.ClientSession() as http:
            due = time.monotonic()
            try:
                while True:
                    due += PROBE_S
                    wake = max(due, time.monotonic())
                    await asyncio.sleep(wake - time.monotonic())
                    self.lag_ms.append(1e3 * (time.monotonic() - wake))
                    requests.add(request := asyncio.create_task(self._request(http, due)))
                    request.add_done_callback(requests.discard)
            finally:
                for request in requests:
                    request.cancel()
                await asyncio.gather(*requests, return_exceptions=True)

    async def _request(self, http: aiohttp.ClientSession, due: float) -> None:
        """Request once; what gets no response until the end counts until then."""
        with suppress(aiohttp.ClientError, OSError):
            try:
                async with http.get(f"{self._url}/livez") as response:
                    await response.read()
            finally:
                self.pulse_ms.append(1e3 * (time.monotonic() - due))


def clip_report(load: clips.Load, tally: clips.Tally) -> dict[str, Any]:
    """Return the results of the clips, ready for JSON."""
    return {
        "loop": f"open loop, {load.rate:g} a second"
        if load.rate
        else f"closed loop of {load.clients} clients",
        "requests": load.requests,
        "ok": tally.ok,
        "bad": dict(tally.bad),
        "seconds": round(tally.seconds, 3),
        **_latencies(tally),
    }


def stream_report(load: streams.Load, tally: streams.Tally) -> dict[str, Any]:
    """Return what became of the streams, ready for JSON."""
    return {
        "streams": load.streams,
        "seconds": load.seconds,
        "hop": load.hop,
        "sample_rate": load.sample_rate,
        "expected": tally.expected,
        "answered": tally.fates["answered"],
        "dropped": {fate: count for fate, count in tally.fates.items() if fate != "answered"},
        "missing": tally.missing,
        "failed": dict(tally.failed),
        "busy": tally.busy,
        "difference_ms": schedule.summary(tally.difference_ms),
        "lag_ms": schedule.summary(tally.lag_ms),
        **_latencies(tally),
    }


def _latencies(tally: schedule.Results) -> dict[str, Any]:
    late_ms = [value for _, value in tally.points]
    return {
        "hung_up": tally.disconnected,
        "ms": schedule.summary(late_ms),
        "told_ms": schedule.summary(tally.reported_ms),
        "quantiles": schedule.quantiles(late_ms),
        "slices": schedule.slices(tally.points),
    }


def text(report: dict[str, Any]) -> str:
    """Return the report for a terminal."""
    lines = []
    if found := report.get("clips"):
        lines += [
            _clip_outcomes(found),
            f"         predecessor: 1000 OK, 0 BAD in {PREDECESSOR_S} s",
            line("latency", found["ms"]),
            line("reported", found["told_ms"]),
        ]
    if found := report.get("streams"):
        lines += [
            _outcomes(found),
            line("age", found["ms"]),
            line("reported", found["told_ms"]),
            line("sending", found["lag_ms"]),
        ]
    if found := report.get("loop_lag_ms"):
        lines.append(line("loop lag", found))
    cost = report.get("server", {})
    costs = f"server {cost['cpu']:.2f} cores, {cost['mib']} MiB; " if cost else ""
    machine = ", ".join(f"{name} {value}" for name, value in report["machine"].items())
    lines += [
        line("/livez", report["pulse_ms"]),
        line("our lag", report["lag_ms"]),
        f"cost     {costs}load {report['generator']['cpu']:.2f} cores",
        machine,
    ]
    return "\n".join(lines)


def _clip_outcomes(found: dict[str, Any]) -> str:
    bad = found["bad"]
    return (
        f"clips    {found['ok']} OK, {sum(bad.values())} BAD{_counts(bad)} "
        f"in {found['seconds']:.3f} s, {found['loop']}{_disconnected(found)}"
    )


def _outcomes(found: dict[str, Any]) -> str:
    dropped, failed = found["dropped"], found["failed"]
    return (
        f"streams  {found['streams']} of {found['seconds']:g} s: {found['expected']} windows, "
        f"{found['answered']} answered, {sum(dropped.values())} dropped{_counts(dropped)}, "
        f"{found['missing']} missing, {sum(failed.values())} streams failed{_counts(failed)}"
        f"{f', {busy} not accepted' if (busy := found['busy']) else ''}"
        f"{_disconnected(found)}"
    )


def _counts(counts: dict[str, int]) -> str:
    return f" ({', '.join(f'{count} {name}' for name, count in counts.items())})" if counts else ""


def _disconnected(found: dict[str, Any]) -> str:
    return f", {found['hung_up']} clients disconnected" if found["hung_up"] else ""


def line(name: str, found: dict[str, float | None]) -> str:
    """Return percentiles as a line."""
    return (
        f"{name:<9}"
        + "   ".join(f"{at} {'-' if ms is None else f'{ms:.2f}'}" for at, ms in found.items())
        + " ms"
    )


def _load_of(kind: type[Kind], given: argparse.Namespace) -> Kind:
    """Return the load of the command line."""
    names = [each.name for each in fields(kind) if hasattr(given, each.name)]
    return kind(**{name: getattr(given, name) for name in names})


def add_server(parser: argparse.ArgumentParser, *, options: str = "") -> None:
    """Add the options of the server; options: the default options of `timbre serve`."""
    parser.add_argument("--url", help="a server that runs already (none: one is started)")
    parser.add_argument(
        "--redis", action="store_true", help="start it with a private redis-server and a worker"
    )
    text = f"options for `timbre serve`, as one word ({options or 'none'})"
    parser.add_argument("--serve", default=options, metavar="OPTIONS", help=text)
    parser.add_argument(
        "--model", default="instruments", metavar="NAME", help="the model (instruments)"
    )


def add_sound(parser: argparse.ArgumentParser, *, seconds: float, hop: float) -> None:
    """Add the options of each live stream."""
    length, step, chunk = (
        measure.within(0.1, 86_400),
        measure.within(0.01, 10),
        measure.within(0.001, 10),
    )
    parser.add_argument(
        "--seconds", type=length, default=seconds, metavar="S", help=f"length of each ({seconds:g})"
    )
    parser.add_argument(
        "--hop", type=step, default=hop, metavar="S", help=f"between windows ({hop:g})"
    )
    rate = measure.within(8_000, 192_000, int)
    parser.add_argument(
        "--sample-rate", type=rate, default=16_000, metavar="HZ", help="what is sent (16000)"
    )
    parser.add_argument(
        "--chunk", type=chunk, default=0.1, metavar="S", help="sound in one message (0.1)"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="timbre bench load", description=__doc__)
    add_server(parser)
    rest = parser.add_argument_group("clips of two seconds")
    many, clients, late = (
        measure.within(0, 10**7, int),
        measure.within(1, 10**5, int),
        measure.within(0, 3_600),
    )
    rest.add_argument("--requests", type=many, metavar="N", help="in all (1000; 0 with --streams)")
    rest.add_argument(
        "--clients", type=clients, default=100, metavar="N", help="clients of the closed loop (100)"
    )
    rest.add_argument(
        "--rate",
        type=measure.within(0, 10**6),
        default=0.0,
        metavar="R",
        help="open loop: requests a second",
    )
    live = parser.add_argument_group("live streams")
    live.add_argument(
        "--streams",
        type=measure.within(0, 10**5, int),
        default=0,
        metavar="N",
        help="at one time (0)",
    )
    add_sound(live, seconds=60.0, hop=0.5)  # type: ignore[arg-type]
    both = parser.add_argument_group("both")
    both.add_argument(
        "--ramp", type=late, default=0.0, metavar="S", help="seconds until the load is full (0)"
    )
    both.add_argument(
        "--jitter", type=late, default=0.0, metavar="S", help="what is sent comes up to S later (0)"
    )
    share = measure.within(0, 1)
    both.add_argument(
        "--drops",
        type=share,
        default=0.0,
        metavar="SHARE",
        help="share of clients that disconnect early (0)",
    )
    parser.add_argument("--report", type=Path, metavar="PATH", help="write PATH.html and PATH.json")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
