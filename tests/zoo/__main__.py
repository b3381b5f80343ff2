"""`make zoo`: generates sound files of every kind, decodes them, and prints what came of them."""

import sys

from common.terminal import say
from tests.zoo.files import everything
from tests.zoo.run import OUTCOMES, table

files = everything()
counts, bad = table(files)
say(f"{'kind':<20}" + "".join(f"{each:>10}" for each in OUTCOMES))
for kind in sorted(counts):
    say(f"{kind:<20}" + "".join(f"{counts[kind][each]:>10}" for each in OUTCOMES))
say(f"{len(files)} files")
say("\n".join(bad))
sys.exit(bool(bad))
