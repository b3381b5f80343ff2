"""Lists the files of a collection that cannot be used."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from common.atomic import write_atomic
from training.recordings.collection import CollectionError, Problem, problems_csv

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

SHOWN = 20
"""Problems that a terminal is shown; a file has them all."""


@contextmanager
def problems_kept(path: Path) -> Iterator[None]:
    """Write the problems of a collection that cannot be used as a whole, before its error goes on.

    Raises what the block raises.
    """
    try:
        yield
    except CollectionError as error:
        write_problems(error.problems, path)
        raise


def write_problems(problems: Sequence[Problem], path: Path) -> int:
    """Print the first problems, write all to a CSV file, return the exit code: 1 if any."""
    if not problems:
        return 0
    write_atomic(path, problems_csv(problems).encode(errors="backslashreplace"))
    for problem in problems[:SHOWN]:
        print(f"{problem.path}: {problem.why}")
    more = f", {len(problems) - SHOWN:,} more than shown" if len(problems) > SHOWN else ""
    print(f"{len(problems):,} cannot be used{more}; all are in {path}")
    return 1
