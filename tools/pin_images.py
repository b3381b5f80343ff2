#!/usr/bin/env python3
"""Pin the images that Containerfiles and Compose files name by their digests, or check them.

    pin_images.py            ask the registries (by skopeo), and write NAME:TAG@sha256:...
    pin_images.py --check    exit code 1, naming those without a digest; no network

Between releases tags are named, so that a build gets what was mended in its base. A release is what
was tried, so it names digests: `make release` refuses one without.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / "deploy" / "container"
IMAGE = re.compile(
    r"^(?P<before>ARG BASE=|\s*image: )(?P<name>[\w.-]+\.[\w.-]+/[\w./-]+:[\w.-]+)"
    r"(?P<digest>@\S+)?$",
    re.MULTILINE,
)
"""With the name of a registry: `image: timbre` is built here."""
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def files(folder: Path) -> list[Path]:
    """Return the files that name images."""
    return [*sorted(folder.glob("Containerfile*")), *sorted(folder.glob("*compose*.yml"))]


def unpinned(folder: Path) -> list[str]:
    """Return a line for each image without a digest."""
    return [
        f"{path.name}: {found['name']}"
        for path in files(folder)
        for found in IMAGE.finditer(path.read_text(encoding="utf-8"))
        if not DIGEST.fullmatch((found["digest"] or "")[1:])
    ]


def pin(folder: Path, digest_of: Callable[[str], str]) -> None:
    """Write the digest behind each image. Raises SystemExit when there is none."""

    def pinned(found: re.Match[str]) -> str:
        digest = digest_of(found["name"])
        if not DIGEST.fullmatch(digest):
            raise SystemExit(f"{found['name']}: {digest!r} is no digest")
        return f"{found['before']}{found['name']}@{digest}"

    for path in files(folder):
        text = path.read_text(encoding="utf-8")
        path.write_text(IMAGE.sub(pinned, text), encoding="utf-8")


def ask(name: str) -> str:
    """Return the digest of an image for every kind of processor. Raises SystemExit."""
    command = ["skopeo", "inspect", "--no-tags", "--format", "{{.Digest}}", f"docker://{name}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - ours
    except FileNotFoundError:
        raise SystemExit("skopeo is not installed: it asks the registries") from None
    if done.returncode:
        raise SystemExit(f"{name}: {done.stderr.strip()}")
    return done.stdout.strip()


def main(arguments: list[str]) -> int:
    """Pin, or check; return the exit code."""
    if arguments != ["--check"]:
        pin(FOLDER, ask)
    left = unpinned(FOLDER)
    sys.stdout.writelines(f"without a digest: {each}\n" for each in left)
    return 1 if left else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
