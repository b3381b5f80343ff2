"""Timbre beside servers of other kinds."""

import pytest

from benchmarks import open_inference
from benchmarks.comparisons import server_peers


@pytest.mark.slow  # six servers, five of them with packages of their own
def test_a_tiny_run_has_a_row_for_each_server():
    table = server_peers.run(tiny=True)
    names = {row["name"] for row in table if row.get("what") == open_inference.WHAT}
    assert {kind.name for kind in server_peers.KINDS} <= names
    clips = {row["name"] for row in table if row.get("what") == server_peers.CLIPS}
    assert clips == {open_inference.OURS, server_peers.POOL}


def test_aims_are_of_tensors_and_not_of_clips():
    rows = [
        {"what": what, "name": name, "clients": 100, "ratio": ratio, "p99_ms": 1.0}
        for what, ratio in ((open_inference.WHAT, 4.0), (server_peers.CLIPS, 0.5))
        for name, ratio in ((open_inference.OURS, 1.0), ("LitServe", ratio))
    ]
    assert server_peers.shortfalls(rows) == []
