"""Peers time themselves by turns with us; what does not start is an error with its words."""

import sys

import pytest

from benchmarks.comparisons import environment
from common.errors import TimbreError

PROGRAM = """
import sys; sys.path.insert(0, {peers!r})
import timed
calls = []
def call(*arguments): calls.append(arguments)
print("words of its own")
timed.serve(call, version="1.2", arguments=sys.argv[1:])
"""


@pytest.fixture
def program(tmp_path, monkeypatch):
    """A peer in this environment."""
    monkeypatch.setattr(environment, "python_of", lambda _: sys.executable)
    monkeypatch.setattr(environment, "PEERS", tmp_path)

    def write(text):
        (tmp_path / "peer.py").write_text(text)
        return environment.peer("any", "peer.py", "a", "b")

    return write


def test_a_peer_tells_what_it_is_and_times_as_many_calls_as_asked_for(program):
    peers = str(environment.ROOT / "benchmarks/peers")
    with program(PROGRAM.format(peers=peers)) as peer:
        assert peer.about == {"version": "1.2", "arguments": ["a", "b"]}
        blocks = {"peer": lambda calls: peer.block(calls, 8), "ours": environment.local(list)}
        times = environment.in_turn(blocks, rounds=2, calls=3)
        assert {name: len(found) for name, found in times.items()} == {"peer": 6, "ours": 6}


def test_a_peer_that_does_not_start_is_an_error_with_its_last_line(program):
    with (
        pytest.raises(TimbreError, match="it ended with 1: OSError: no library"),
        program("raise OSError('no library')"),
    ):
        pass


def test_a_peer_that_ends_meanwhile_is_an_error(program):
    with (
        program(
            "print('timed: {}', flush=True); import sys; sys.stdin.readline(); sys.exit(3)"
        ) as peer,
        pytest.raises(TimbreError, match="it ended with 3"),
    ):
        peer.block(1)


def test_an_environment_that_cannot_be_made_is_an_error():
    with pytest.raises(
        TimbreError, match=r"its environment cannot be made: .* no file .*no-such-pins\.txt"
    ):
        environment.python_of("no-such-pins")


def test_lines_are_those_of_the_code(tmp_path):
    path = tmp_path / "a.py"
    path.write_text('"""Text."""\n# why\n\ndef f(x):\n    """More."""\n    return x\n')
    assert environment.lines_of([path]) == 2
