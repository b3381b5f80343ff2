"""Features in, scores out: Timbre beside what else serves models; and clips.

All serve the same graph in one process, but for the peer of clips: what is often written for sound,
aiohttp with a process pool, librosa and joblib, which has as many processes as there are cores.
"""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks import forest, open_inference, signals
from benchmarks.comparisons import server_load, servers
from benchmarks.comparisons.environment import PEERS, lines_of
from common.errors import TimbreError

TITLE = "Servers beside Timbre: features to scores, and clips of 2 s"
KINDS = (
    *(servers.FASTAPI, servers.LITSERVE, servers.BENTOML, servers.MLSERVER),
    *(servers.RAY, servers.DEEPAAS),
)
POOL, CLIPS = "aiohttp, process pool, librosa, joblib", "clips of 2 s"
FULL: dict[str, Any] = {
    **open_inference.FULL,
    "clips": 60,
    "clip_rounds": 2,
    "trees": 200,
    "windows": 2_000,
}
TINY: dict[str, Any] = {
    **open_inference.TINY,
    "clips": 10,
    "clip_rounds": 1,
    "trees": 5,
    "windows": 200,
}


def run(*, tiny: bool = False) -> list[dict[str, Any]]:
    """Return the rows of `server_load.table`, of tensors and of clips; with `gap`: not measured."""
    given = TINY if tiny else FULL
    return open_inference.run(tiny=tiny, kinds=KINDS) + _clips(given)


def shortfalls(table: list[dict[str, Any]]) -> list[str]:
    """Return a line for each budget that is not met."""
    return open_inference.shortfalls(
        [row for row in table if row.get("what") == open_inference.WHAT]
    )


def _clips(given: dict[str, Any]) -> list[dict[str, Any]]:
    import joblib

    clip = signals.wav(signals.plucked(2))
    path = f"/v1/models/{servers.MODEL}/classify"
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        model = folder / "forest.joblib"
        joblib.dump(forest.pipeline(trees=given["trees"], windows=given["windows"]), model)
        kind = servers.Kind(
            POOL,
            "process-pool",
            lambda python, _graph, port, _folder: [
                *(python, str(PEERS / "process_pool_server.py"), str(model), str(port))
            ],
            "/classify",
            lambda: clip,
            program="process_pool_server.py",
        )
        ours = stack.enter_context(servers.timbre())
        try:
            peer = stack.enter_context(servers.started(kind))
        except TimbreError as error:
            return [{"name": POOL, "gap": str(error)}]
        subjects = {
            open_inference.OURS: server_load.Subject(ours, servers.post(path, clip, ""), 0),
            POOL: server_load.Subject(
                peer, servers.post(kind.path, clip, ""), lines_of([PEERS / kind.program])
            ),
        }
        return server_load.table(
            subjects,
            ours=open_inference.OURS,
            what=CLIPS,
            clients=given["clients"],
            rounds=given["clip_rounds"],
            requests=given["clips"],
        )
