"""Every kind of server is pinned, written out, and gets the request of the same row."""

import json

import pytest

from benchmarks.comparisons import server_peers, servers


@pytest.mark.parametrize("kind", server_peers.KINDS, ids=lambda kind: kind.name)
def test_every_kind_has_its_program_and_its_pins(kind, tmp_path):
    assert (servers.PEERS / kind.program).exists()
    pins = (servers.PEERS / f"{kind.pins}.txt").read_text().splitlines()
    assert all(line.startswith("#") or "==" in line for line in pins)
    assert any(line.startswith("onnxruntime==") for line in pins)
    command = kind.command("/env/bin/python", servers.graph(), 1234, tmp_path)
    files = "".join(path.read_text() for path in tmp_path.rglob("*") if path.is_file())
    assert "1234" in " ".join(command) + files


def test_every_request_has_the_same_26_numbers():
    row = servers.row().tolist()
    assert json.loads(servers.plain_json())["features"] == [row]
    assert json.loads(servers.tensor_json())["inputs"][0]["data"] == row
    assert json.loads(json.loads(servers.DEEPAAS.body())["features"]) == [row]
    head, _, body = servers.post("/x", b"abc").partition(b"\r\n\r\n")
    assert head.startswith(b"POST /x HTTP/1.1\r\n")
    assert b"Content-Length: 3" in head
    assert body == b"abc"
