"""The features of a window beside five other libraries, each with those of the 26 that it has.

A peer computes its part, Timbre and librosa all 26. Parity is told beside speed: how many of a
peer's numbers are librosa's, to 1 % or, of a coefficient in dB, to 0.5 dB.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks import features, measure
from benchmarks.comparisons import environment
from benchmarks.signals import plucked
from common.errors import TimbreError
from features.config import DEFAULT
from features.extract import FEATURE_NAMES, extract

TITLE = "Features of a window beside other libraries, one thread"
PEERS = ("kaldi-native-fbank", "essentia", "audioflux", "opensmile", "torchaudio")
WHAT, OURS = "features of a window", "timbre"
SHARE, DB = 0.01, 0.5
"""Within which a number is that of librosa: of it; of a cepstral coefficient, dB."""
FULL: dict[str, Any] = {"rounds": 15, "calls": 5, "peers": list(PEERS)}
TINY: dict[str, Any] = {"rounds": 1, "calls": 1, "peers": []}


def run(*, tiny: bool = False) -> list[dict[str, Any]]:
    """Return the rows of `measure.rows`, with how many of the 26 a peer has, and how many agree.

    A peer that does not install or start has a row with `gap`.
    """
    from threadpoolctl import threadpool_limits

    given = TINY if tiny else FULL
    window = plucked(2)[: DEFAULT.window]
    oracle = dict(zip(FEATURE_NAMES, np.asarray(features.librosa_features(window)), strict=True))
    ours = dict(zip(FEATURE_NAMES, extract(window), strict=True))
    subjects: dict[str, environment.Block] = {
        OURS: environment.local(lambda: extract(window)),
        "librosa": environment.local(lambda: features.librosa_features(window)),
    }
    agreed = {OURS: parity(ours, oracle), "librosa": parity(oracle, oracle)}
    gaps = []
    with ExitStack() as stack, threadpool_limits(1):
        path = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "sound.npy"
        np.save(path, window)
        for name in given["peers"]:
            try:
                found = environment.peer(name, "features_peer.py", name, str(path))
                peer = stack.enter_context(found)
            except TimbreError as error:
                gaps.append({"name": name, "gap": str(error)})
                continue
            full_name = f"{name} {peer.about['version']}"
            subjects[full_name] = peer.block
            agreed[full_name] = parity(peer.about["values"], oracle)
        times = environment.in_turn(subjects, rounds=given["rounds"], calls=given["calls"])
    rows = measure.rows(times, ours=OURS, block=given["calls"], what=WHAT)
    return [{**row, **agreed[row["name"]]} for row in rows] + gaps


def shortfalls(table: list[dict[str, Any]]) -> list[str]:
    """Return a line for each peer that is faster with as many features."""
    return [
        f"{row['name']} takes {row['ratio']:.2f} times as long, with all 26"
        for row in table
        if row.get("ratio", 1) < 1 and row.get("numbers") == len(FEATURE_NAMES)
    ]


def parity(values: Mapping[str, Any], oracle: Mapping[str, Any]) -> dict[str, Any]:
    """Return how many numbers these are, how many are librosa's, and the worst difference in dB."""
    names = list(values)
    mine: npt.NDArray[np.float64] = np.array([values[name] for name in names], np.float64)
    theirs = np.array([oracle[name] for name in names], np.float64)
    off = np.abs(mine - theirs)
    cepstral = np.array([name.startswith("mfcc") for name in names])
    alike = (off <= SHARE * np.abs(theirs)) | (cepstral & (off <= DB))
    worst = float(off[cepstral].max()) if cepstral.any() else None
    return {"numbers": len(names), "as_librosa": int(alike.sum()), "worst_db": worst}
