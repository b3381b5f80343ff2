"""The benchmark of the Open Inference Protocol runs, and says which budget is missed."""

import pytest

from benchmarks import open_inference
from benchmarks.comparisons import servers
from benchmarks.open_inference import BYTES, OURS

PEER = servers.FASTAPI.name


@pytest.mark.slow  # two servers, one of them with packages of its own
def test_a_tiny_run_has_a_row_for_each_server_and_number_of_clients():
    table = open_inference.run(tiny=True)
    found = [(row["clients"], row["name"]) for row in table]
    assert found == [(clients, name) for clients in (1, 10) for name in (OURS, BYTES, PEER)]
    assert {row["ratio"] for row in table if row["name"] == OURS} == {1}
    assert all(row["p99_ms"] >= row["p50_ms"] > 0 and row["mib"] > 0 for row in table)
    assert {row["lines"] for row in table if row["name"] == PEER} == {
        open_inference.lines_of([servers.PEERS / servers.FASTAPI.program])
    }


@pytest.mark.parametrize(
    ("name", "ratio", "p99_ms", "missed"),
    [
        *((PEER, 1.5, 80, 0), (PEER, 1.49, 80, 1), (PEER, 1.5, 80.1, 1), (PEER, 1.49, 80.1, 2)),
        *(("LitServe", 4.0, 80, 0), ("LitServe", 3.99, 80, 1)),
    ],
)
def test_budgets_are_held_at_their_bounds_with_100_clients(name, ratio, p99_ms, missed):
    table = [
        {"name": OURS, "clients": 100, "ratio": 1.0, "p99_ms": p99_ms},
        {"name": name, "clients": 100, "ratio": ratio, "p99_ms": 80.0},
        {"name": name, "clients": 10, "ratio": 0.1, "p99_ms": 1.0},
    ]
    assert len(open_inference.shortfalls(table)) == missed


def test_a_server_that_does_not_start_is_named_with_its_reason(monkeypatch):
    kind = servers.FASTAPI._replace(name="none", pins="no-such-pins")
    monkeypatch.setattr(servers, "timbre", nothing)
    monkeypatch.setattr(open_inference.server_load, "table", lambda *_, **__: [])
    (row,) = open_inference.run(tiny=True, kinds=(kind,))
    assert row["name"] == "none"
    assert "cannot be made" in row["gap"]


class nothing:  # noqa: N801 - stands for a context manager
    def __enter__(self):
        return servers.Server("http://127.0.0.1:1", 0, 0.0)

    def __exit__(self, *_):
        return None
