"""Classify every file of a folder with a server, eight at a time; print a CSV table.

Run: .venv/bin/python examples/classify_folder.py FOLDER
"""

import argparse
import asyncio
import csv
import sys
from pathlib import Path

from common.errors import TimbreError
from service.client import Client


async def classify_folder(folder: Path, url: str, model: str) -> None:
    client, slots = Client(url), asyncio.Semaphore(8)

    async def row(path: Path) -> list[str]:
        async with slots:
            try:
                answer = await client.classify(path, model)
            except TimbreError as error:
                return [str(path), "", str(error)]
        if "predictions" in answer:  # a model of pictures: the best label
            return [str(path), answer["predictions"][0]["label"], ""]
        return [str(path), " ".join(answer["labels"]), ""]

    files = sorted(path for path in folder.rglob("*") if path.is_file())  # noqa: ASYNC240 - once
    rows = await asyncio.gather(*map(row, files))
    csv.writer(sys.stdout, lineterminator="\n").writerows([["file", "labels", "error"], *rows])


parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("folder", type=Path)
parser.add_argument("--url", default="http://127.0.0.1:8000")
parser.add_argument("--model", default="instruments")
asyncio.run(classify_folder(**vars(parser.parse_args())))
