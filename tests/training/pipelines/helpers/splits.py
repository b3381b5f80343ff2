"""What was in which part of the split, as it stands beside each artefact."""

import csv

from common.names import part_named


def parts_beside_each(out):
    """Return the parts in split.csv of each artefact below a folder of them, by its name."""
    artefacts = [path.parent for path in out.glob("*/*/manifest.json")]
    found = {}
    for artefact in artefacts:
        place = out / "reports" / f"{artefact.parent.name}-{artefact.name}" / "split.csv"
        with place.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        # A row of a test of its own, as of one style, names that.
        found[artefact.parent.name] = {part_named(row["part"]) or row["part"] for row in rows}
    return found
