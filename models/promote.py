"""Promotes a trained candidate to the served artefacts, if it passes the checks.

Training writes candidates to one folder, a server reads another. `promote` checks size, latency,
noise and the metrics, and copies the artefact under the version after the latest there.
"""

from __future__ import annotations

import dataclasses
import math
import time
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from common.errors import ArtefactError
from features.extract import extract_many
from models import rehearsal
from models.artefact import place
from models.manifest import FILES
from models.providers import CPU
from models.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy.typing as npt

    from features.config import AudioConfig, Samples
    from models.store import Model

FIGURES = ("macro_f1", "top1")
"""Metrics in which a new version must not be worse."""
QUIET_WINDOWS = 200
RUNS = 50


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits of a candidate."""

    latency_ms: float = 10.0
    """Median time of one window through the graph, on the CPU that of its core."""
    size_mb: float = 20.0
    """All files of the artefact, in millions of bytes."""
    quiet: float = 0.99
    """Share of windows of noise and silence that get no label."""
    loss: float = 0.005
    """How far a metric may fall below that of the replaced version: the spread between seeds."""


@dataclass(frozen=True)
class Examination:
    """The measurements of a candidate, and the reasons to reject it."""

    measured: dict[str, float]
    reasons: list[str]


def examine(candidate: Model, size: int, replaced: Model | None, limits: Limits) -> Examination:
    """Measure a candidate. size: bytes of all its files. replaced: the version served now."""
    measured = {"latency_ms": latency_ms(candidate), "size_mb": size / 1e6}
    reasons = [
        f"{name} {measured[name]:.3g} is over the budget of {getattr(limits, name):g}; accept it "
        f"with --{name.replace('_', '-')} {_above(measured[name])}"
        for name in ("latency_ms", "size_mb")
        if measured[name] > getattr(limits, name)
    ]
    if candidate.input.medium == "sound" and candidate.manifest.task == "multi-label":
        measured["quiet"] = share_without_label(candidate)
        if measured["quiet"] < limits.quiet:
            reasons.append(
                f"it labels noise or silence: {measured['quiet']:.1%} of {QUIET_WINDOWS} such "
                f"windows get no label, {limits.quiet:.1%} must; "
                f"{_advice(candidate.manifest.origin)}, or accept this share with "
                f"--quiet {math.floor(100 * measured['quiet']) / 100:g}"
            )
    return Examination(
        measured, reasons + (list(_worse(candidate, replaced, limits.loss)) if replaced else [])
    )


def _advice(origin: dict[str, Any]) -> str:
    """Return what to train with for less labels on noise: not what the recipe has already."""
    try:
        collection = tomllib.loads(str(origin.get("recipe", ""))).get("collection", {})
        made, own = collection.get("nothing", 0), collection.get("background")
    except (tomllib.TOMLDecodeError, AttributeError):
        made, own = 0, None
    if not made and not own:
        return "train with noise and silence (collection.nothing=0.2)"
    more = [f"more noise (collection.nothing={min(1.0, 2 * made):g})"] if 0 < made < 1 else []
    recordings = "" if own else " (collection.background)"
    return f"train with {' or '.join([*more, f'more recordings without a label{recordings}'])}"


def _above(value: float) -> str:
    """Return a number of two digits that is not less than a value."""
    if value <= 0:
        return "0"
    step = 10 ** (math.floor(math.log10(value)) - 1)
    return f"{math.ceil(value / step) * step:.10g}"


def latency_ms(model: Model) -> float:
    """Return the median time in milliseconds of one window through the graph.

    On the CPU, where one thread computes it, the time that this thread had a core: what else the
    machine does is not the model's.
    """
    clock = time.thread_time if model.session.provider == CPU else time.perf_counter
    one = np.zeros((1, *model.session.shape), model.session.dtype)
    times = []
    for _ in range(RUNS):
        start = clock()
        model.predict(one)
        times.append(clock() - start)
    return float(np.median(times)) * 1e3


def share_without_label(model: Model) -> float:
    """Return the share of noise and silence windows, from a fixed seed, without a label."""
    config, kind = model.sound
    scores = model.predict(extract_many(quiet_windows(config), kind=kind, config=config))
    return float(1 - (scores >= model.thresholds).any(axis=1).mean())


def quiet_windows(config: AudioConfig, count: int = 0, *, seed: int = 1) -> list[Samples]:
    """Return windows of silence and noise; those of the check by default."""
    rng = np.random.default_rng(seed)
    return [quiet_window(number, config, rng) for number in range(count or QUIET_WINDOWS)]


def quiet_window(number: int, config: AudioConfig, rng: np.random.Generator) -> Samples:
    """Return a window of silence, a constant, mains hum, or noise from brown to white."""
    peak = 10 ** (rng.uniform(-70, 0) / 20)
    if number % 10 < 2:
        return np.full(config.window, peak / 50 if number % 10 else 0, np.float32)
    if number % 10 == 2:
        time_s = np.arange(config.window) / config.sample_rate
        base = (50, 60)[number // 10 % 2]
        wave = sum(np.sin(2 * np.pi * base * order * time_s) / order for order in range(1, 12, 2))
        wave = np.asarray(wave) + rng.normal(0, 0.01, config.window)
    else:
        frequencies = np.maximum(np.fft.rfftfreq(config.window, 1 / config.sample_rate), 20)
        flat = np.fft.rfft(rng.standard_normal(config.window))
        wave = np.fft.irfft(flat * frequencies ** -rng.uniform(0, 1), config.window)
    samples: npt.NDArray[np.float32] = (wave * (peak / np.abs(wave).max())).astype(np.float32)
    return samples


def _worse(candidate: Model, replaced: Model, loss: float) -> Iterator[str]:
    """Yield every regression of the candidate."""
    if gone := set(replaced.labels) - set(candidate.labels):
        yield f"it lacks the labels {', '.join(sorted(gone))} of version {replaced.version}"
    if _of_all_windows(candidate) != _of_all_windows(replaced):
        yield (
            f"its figures and those of version {replaced.version} cannot be compared: one has them "
            "of all test windows together, the other as means over sources; judge both on one "
            "folder (timbre models judge) and accept it with --force, or train that version again"
        )
        return
    before, now = (figures(model.manifest.metrics) for model in (replaced, candidate))
    for name in FIGURES:
        if name not in before:
            continue
        if name not in now:
            yield f"its metrics lack {name}, which version {replaced.version} has"
        elif now[name] < before[name] - loss:
            yield (
                f"{name} {now[name]:.3f} is below the {before[name]:.3f} of version "
                f"{replaced.version}"
            )


def _of_all_windows(model: Model) -> bool:
    """Return whether the figures are of all test windows together, not means over sources."""
    return "windows" in model.manifest.metrics.get("mean", {})


def figures(metrics: dict[str, Any]) -> dict[str, float]:
    """Return the metrics that are compared: those over all held-out sources, if there are any."""
    found = metrics.get("mean") or metrics
    return {name: found[name] for name in FIGURES if isinstance(found.get(name), float)}


def promote(
    name: str,
    version: str,
    *,
    source: Path,
    target: Path,
    limits: Limits,
    force: bool,
    rehearsed: Path | None = None,
) -> tuple[Path, Examination]:
    """Copy a candidate to another artefacts folder; return its path and the measurements.

    It gets the version after the latest one there, unless its own is newer. rehearsed: file that
    must be a rehearsal of this candidate against the served version. Raises NotFound, InputError,
    or ArtefactError if the candidate does not load (golden scores included) or, without `force`,
    does not pass the checks.
    """
    candidate = Store(source).load(name, version)
    files = {file: (source / name / version / file).read_bytes() for file in FILES}
    served = Store(target)
    replaced = served.load(name) if name in served.names() else None
    found = examine(candidate, sum(map(len, files.values())), replaced, limits)
    if rehearsed:
        against = replaced.manifest if replaced else None
        found.reasons.extend(
            rehearsal.problems(rehearsal.read(rehearsed), candidate.manifest, against)
        )
    if found.reasons and not force:
        raise ArtefactError(f"{name} {version} is not promoted: {'; '.join(found.reasons)}")
    newer = replaced is None or int(version) > int(replaced.version)
    manifest = dataclasses.replace(
        candidate.manifest,
        version=version if newer or replaced is None else str(int(replaced.version) + 1),
    )
    where = target / name / manifest.version
    try:
        return place(where, {**files, "manifest.json": manifest.to_json().encode()}), found
    except OSError as error:
        raise ArtefactError(f"{where} cannot be written: {error.strerror}") from error
