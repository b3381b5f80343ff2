"""The benchmark of the Open Inference Protocol runs, and says which budget is missed."""

import asyncio

import pytest

from benchmarks import open_inference
from benchmarks.open_inference import BYTES, OURS, PEER
from common.errors import TimbreError


@pytest.mark.slow  # two servers, one of them with packages of its own
def test_a_tiny_run_has_a_row_for_each_server():
    table = open_inference.run(tiny=True)
    assert [row["name"] for row in table] == [OURS, BYTES, PEER]
    assert table[-1]["ratio"] == 1
    assert all(row["p99_ms"] >= row["p50_ms"] > 0 and row["cpu_ms"] > 0 for row in table)


@pytest.mark.parametrize(
    ("ratio", "p99_ms", "missed"), [(1.5, 80, 0), (1.49, 80, 1), (1.5, 80.1, 1), (1.49, 80.1, 2)]
)
def test_budgets_are_held_at_their_bounds(ratio, p99_ms, missed):
    table = [
        {"name": OURS, "ratio": ratio, "p99_ms": p99_ms},
        {"name": PEER, "ratio": 1.0, "p99_ms": 80.0},
    ]
    assert len(open_inference.shortfalls(table)) == missed


def test_a_response_that_is_not_200_ends_the_run_with_its_text():
    with pytest.raises(TimbreError, match="404"):
        asyncio.run(_against(b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}"))


async def _against(response):
    async def answer(reader, writer):
        await reader.readuntil(b"}")
        writer.write(response)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        return await open_inference._load(f"http://127.0.0.1:{port}", b"{}", 1)
