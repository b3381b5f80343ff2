"""Clients wait for their responses; a wrong one ends the run; fewer clients send less."""

import asyncio
import socketserver
import threading

import pytest

from benchmarks.comparisons import server_load
from benchmarks.comparisons.servers import Server
from common.errors import TimbreError

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


async def against(response, count=1, clients=1):
    async def answer(reader, writer):
        while await reader.read(1_000):
            writer.write(response)
        writer.transport.abort()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        return await server_load.load(f"http://127.0.0.1:{port}", b"{}", count, clients)


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"


@pytest.mark.parametrize("response", [OK, CHUNKED])
def test_each_request_has_one_response(response):
    assert len(asyncio.run(against(response, count=7, clients=3))) == 7


def test_a_response_that_is_not_200_ends_the_run_with_its_text():
    with pytest.raises(TimbreError, match="404"):
        asyncio.run(against(b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}"))


@pytest.mark.parametrize(("clients", "count"), [(1, 100), (5, 500), (10, 1_000), (2_000, 2_000)])
def test_few_clients_send_fewer_requests_and_each_sends_one(clients, count):
    assert server_load.sent(1_000, clients) == count


class Echo(socketserver.StreamRequestHandler):
    """Answers whatever it reads."""

    def handle(self):
        while self.request.recv(1_000):
            self.request.sendall(OK)


@pytest.fixture
def echo():
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Echo) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_a_table_has_a_row_for_each_server_and_number_of_clients(echo):
    subject = server_load.Subject(Server(echo, 0, 0.5), b"{}", 3)
    table = server_load.table(
        {"a": subject, "b": subject}, ours="a", what="w", clients=[1, 2], rounds=2, requests=20
    )
    assert [(row["clients"], row["name"]) for row in table] == [
        *((1, "a"), (1, "b")),
        *((2, "a"), (2, "b")),
    ]
    for row in table:
        assert row["rounds"] == 2
        assert row["ratio_p25"] <= row["ratio"] <= row["ratio_p75"]
        assert (row["start_s"], row["lines"], row["what"]) == (0.5, 3, "w")
    assert {row["ratio"] for row in table if row["name"] == "a"} == {1}
