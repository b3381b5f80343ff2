"""`make fuzz`: many inputs for every target, each target in a process that may crash or hang."""

import argparse
import multiprocessing
import os
import sys
import time
from collections import Counter
from pathlib import Path

from tests.fuzz.mutation import made
from tests.fuzz.run import FAULT, run
from tests.fuzz.targets import TARGETS

STUCK_S = 60
"""Seconds after which one input counts as one that never ends."""
POLL_S = 0.2


def main():
    """Print the outcomes of every target; the exit code is 1 if one of them is a fault."""
    options = _options()
    names = options.targets or list(TARGETS)
    each = max(1, options.inputs // len(names))
    faulty = False
    print(f"{each} inputs for each of {len(names)} targets, seed {options.seed}")
    for name in names:
        begin = time.monotonic()
        counts, faults = _all_outcomes(name, seed=options.seed, count=each)
        shown = ", ".join(f"{outcome} {count}" for outcome, count in counts.most_common())
        print(f"{name:16} {time.monotonic() - begin:7.1f} s  {shown}", flush=True)
        for number, (outcome, data) in enumerate(sorted(faults.items())):
            path = options.faults / f"{name.replace(' ', '-')}-{number}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            print(f"  {outcome}: {path}")
        faulty = faulty or bool(faults)
    return int(faulty)


def _options():
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--inputs", type=lambda text: int(float(text)), default=1_000_000)
    parser.add_argument("--seed", default="1")
    parser.add_argument("--faults", type=Path, default=Path("build/fuzz"), metavar="DIR")
    parser.add_argument("targets", nargs="*", choices=[[], *TARGETS], metavar="TARGET")
    return parser.parse_args()


def _all_outcomes(name, *, seed, count):
    """Outcomes of all inputs; after one that ends or stops the process the next one goes on."""
    counts, faults, begin = Counter(), {}, 0
    while begin < count:
        at = multiprocessing.Value("q", begin)
        results = multiprocessing.SimpleQueue()
        process = multiprocessing.Process(
            target=_child, args=(name, seed, range(begin, count), at, results)
        )
        process.start()
        how = _until_done(process, at, results)
        if not isinstance(how, str):
            return counts + how[0], how[1] | faults
        begin = at.value + 1
        counts[f"{FAULT}{how}"] += 1
        faults.setdefault(f"{FAULT}{how}", made(name, seed, at.value, TARGETS[name].seeds))
    return counts, faults


def _child(name, seed, numbers, at, results):
    def before(number):
        at.value = number

    # What C libraries print about each input.
    with Path(os.devnull).open("w") as nothing:
        os.dup2(nothing.fileno(), 2)
    results.put(run(name, seed=seed, numbers=numbers, before=before))


def _until_done(process, at, results):
    """Return what the process found, or how it ended."""
    number, since = -1, time.monotonic()
    while results.empty():
        if at.value != number:
            number, since = at.value, time.monotonic()
        if time.monotonic() - since > STUCK_S:
            process.kill()
            process.join()
            return f"not read within {STUCK_S} s"
        process.join(POLL_S)
        if process.exitcode is not None and results.empty():
            return f"the process ended with {process.exitcode}"
    found = results.get()
    process.join()
    return found


if __name__ == "__main__":
    sys.exit(main())
