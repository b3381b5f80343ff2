"""Peers: programs of `benchmarks/peers/` in environments of their own, timed by turns with ours."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO, TypeAlias

from benchmarks import measure
from common.errors import TimbreError

ROOT = Path(__file__).parent.parent.parent
PEERS = ROOT / "benchmarks" / "peers"
ONE_THREAD = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL", "NUMBA")}


def python_of(name: str) -> str:
    """Return the python of the environment of `peers/NAME.txt`, made at its first use.

    Raises TimbreError if it cannot be made.
    """
    made = subprocess.run(  # noqa: S603 - own script
        [ROOT / "tools/peer-environment", PEERS / f"{name}.txt"],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, "PYTHON": sys.executable},
    )
    if made.returncode:
        last = (made.stderr.strip().splitlines() or ["no output"])[-1]
        raise TimbreError(f"its environment cannot be made: {last}")
    return made.stdout.strip()


Block: TypeAlias = Callable[[int], list[float]]
"""Returns milliseconds of processor time of so many calls; one before them does not count."""


def local(call: Callable[[], Any]) -> Block:
    """Return what times a function of this process."""
    return lambda calls: measure.in_turn({"": call}, rounds=1, calls=calls)[""]


class Peer:
    """A program that times itself when it is asked to: a line of JSON for each line sent."""

    def __init__(self, process: subprocess.Popen[str], words: TextIO) -> None:
        self._process, self._words = process, words
        self.about: dict[str, Any] = self._line()
        """What it said of itself once it was ready."""

    def block(self, calls: int, *arguments: int) -> list[float]:
        """Return milliseconds of processor time of each call. Raises TimbreError if it ended.

        arguments: of the calls.
        """
        assert self._process.stdin is not None  # a pipe
        try:
            self._process.stdin.write(" ".join(map(str, (calls, *arguments))) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError as error:
            raise TimbreError(self._end()) from error
        times: list[float] = self._line()
        return times

    def _line(self) -> Any:
        assert self._process.stdout is not None  # a pipe
        for line in self._process.stdout:
            # A peer may print words of its own.
            if line.startswith("timed: "):
                return json.loads(line.removeprefix("timed: "))
        raise TimbreError(self._end())

    def _end(self) -> str:
        code = self._process.wait()
        self._words.seek(0)
        last = (self._words.read().strip().splitlines() or ["no output"])[-1]
        return f"it ended with {code}: {last}"


@contextmanager
def peer(name: str, program: str, *arguments: str) -> Iterator[Peer]:
    """Give a peer that is ready. Raises TimbreError if it does not get there, with its words."""
    command = [python_of(name), str(PEERS / program), *arguments]
    with (
        tempfile.TemporaryFile("w+") as words,
        subprocess.Popen(  # noqa: S603 - own script
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=words,
            text=True,
            env={**os.environ, **ONE_THREAD},
        ) as process,
    ):
        try:
            yield Peer(process, words)
        finally:
            process.kill()


def in_turn(subjects: Mapping[str, Block], *, rounds: int, calls: int) -> dict[str, list[float]]:
    """Return milliseconds of each call; blocks alternate, so that load affects all subjects."""
    times: dict[str, list[float]] = {name: [] for name in subjects}
    for _ in range(rounds):
        for name, subject in subjects.items():
            times[name] += subject(calls)
    return times


def lines_of(paths: Sequence[Path]) -> int:
    """Return the lines a user writes: without comments, docstrings and empty ones."""
    import ast

    total = 0
    for path in paths:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
                first = node.body[0]
                if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                    node.body = node.body[1:] or [ast.Pass()]
        total += ast.unparse(tree).count("\n") + 1
    return total
