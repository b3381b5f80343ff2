"""The command `timbre`: finds sub-commands by entry points, and loads only the one that runs."""

from __future__ import annotations

import importlib.metadata
import sys

from common.errors import TimbreError
from common.terminal import escaped_output, say

GROUP = "timbre.commands"
SUMMARIES = {
    "serve": "serve the models over HTTP and WebSocket",
    "worker": "run models for gateways on other machines",
    "keys": "create, list and revoke API keys",
    "queue": "show pending jobs, workers and dead letters in Redis",
    "listen": "stream a microphone or a sound file, and show the labels",
    "monitor": "listen to sources for months, and write events and coverage",
    "classify": "classify sound and picture files, without a server",
    "rehearse": "play kept sound through the served and a candidate version",
    "doctor": "check what works on this machine or server, and say what to do",
    "prove": "compare the scores of a file by every way to them",
    "models": "list, show, verify, promote, quantize and load artefacts",
    "data": "collect, inspect, clean, split and tabulate recordings and pictures",
    "train": "make an artefact from a recipe",
    "search": "find the best settings of a forest, or of any estimator",
    "study": "answer one question about a feature table, with a plot",
    "bench": "measure speed and load",
}
"""One line each. Here, because a command would have to be imported for it."""


def main(argv: list[str] | None = None) -> int:
    """Run `timbre`; return the exit code: 0 success, 1 failure, 2 invalid arguments."""
    arguments = sys.argv[1:] if argv is None else argv
    commands = {entry.name: entry for entry in importlib.metadata.entry_points(group=GROUP)}
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(_help(sorted(commands)))
        return 0
    name, *rest = arguments
    if name in ("-V", "--version"):
        print(f"timbre {importlib.metadata.version('timbre')}")
        return 0
    if name not in commands:
        say(f"timbre: unknown command {name!r}; see timbre --help", error=True)
        return 2
    with escaped_output():
        return _run(commands[name], rest)


def _run(entry: importlib.metadata.EntryPoint, arguments: list[str]) -> int:
    try:
        code: int = entry.load()(arguments)
    except TimbreError as error:
        say(f"timbre {entry.name}: {error}", error=True)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader of the pipe is gone; stdout must not be flushed again at exit.
        sys.stdout = None
        return 0
    return code


def _help(names: list[str]) -> str:
    lines = [f"  {name:<10}{SUMMARIES.get(name, '')}".rstrip() for name in names]
    return "\n".join(
        [
            "usage: timbre COMMAND ...   (timbre COMMAND --help shows its options)",
            "",
            *lines,
            "",
            "  --version shows the version",
        ]
    )


if __name__ == "__main__":
    raise SystemExit(main())
