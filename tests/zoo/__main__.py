"""`make zoo`: makes sound and picture files of every kind, reads them, and prints the outcomes."""

import asyncio
import sys
import tempfile
from pathlib import Path

from common.terminal import say
from tests.zoo import files, pictures, run, run_pictures


def show(counts, outcomes, bad, number):
    """Print a table, and the bad files."""
    say(f"{'kind':<20}" + "".join(f"{each:>12}" for each in outcomes))
    for kind in sorted(counts):
        say(f"{kind:<20}" + "".join(f"{counts[kind][each]:>12}" for each in outcomes))
    say("\n".join([f"{number} files", *bad]))


async def of_pictures(made):
    """Return counts and bad files, by a server of its own."""
    with tempfile.TemporaryDirectory() as folder:
        async with run_pictures.gateway(Path(folder)) as post:
            return await run_pictures.table(made, post)


sounds, drawn = files.everything(), pictures.everything()
counts, bad = run.table(sounds)
show(counts, run.OUTCOMES, bad, len(sounds))
counts, worse = asyncio.run(of_pictures(drawn))
show(counts, run_pictures.OUTCOMES, worse, len(drawn))
sys.exit(bool(bad or worse))
