"""The round trip is measured through both queues, and judged by the budget."""

import shutil

import pytest

from benchmarks import cli, queues
from common.errors import TimbreError


@pytest.mark.skipif(not shutil.which("redis-server"), reason="no redis-server on this machine")
def test_both_queues_are_measured(capsys):
    code = cli.main(["queues", "--tiny"])
    told = capsys.readouterr()
    assert all(word in told.out for word in ("local", "redis", queues.ALONE.split()[0]))
    assert code == (1 if "not met" in told.err else 0)


def test_without_a_redis_server_it_says_so(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(TimbreError, match="redis-server"):
        queues.run(tiny=True)


def test_only_what_is_over_its_budget_is_named():
    row = {"name": "redis", "what": queues.ALONE}
    assert (
        queues.shortfalls([row | {"median_ms": 0.5}, row | {"name": "local", "median_ms": 9.0}])
        == []
    )
    assert len(queues.shortfalls([row | {"median_ms": 0.51}])) == 1
