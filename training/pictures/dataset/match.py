"""`timbre data match`: finds the classes of pictures by the words of their file names."""

from __future__ import annotations

import argparse
import os
import shutil
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from training.common.cli_helpers import run_command
from training.common.disk import new_folder
from training.common.errors import MaterialError
from training.common.progress import stage
from training.pictures.dataset.archive import folder_of
from training.pictures.dataset.folders import SHOWN, picture_files, some
from training.pictures.dataset.packed import write_table
from training.pictures.dataset.words import words

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

MATCHED, AMBIGUOUS, NONE = "matched", "ambiguous", "no class"
BY = ("name", "word")
"""Whether a file is of a class whose whole name it has, or of all that have a word of it."""


class Match(NamedTuple):
    """The match of one picture's name."""

    path: str
    result: str
    """`matched`, `ambiguous` or `no class`."""
    classes: tuple[str, ...]
    """The matched class, or all candidates of an ambiguous name."""
    words: tuple[str, ...] = ()
    """Words of the name."""
    span: tuple[int, int] = (0, 0)
    """Range of the words that matched."""
    inner: tuple[str, ...] = ()
    """Classes whose name is part of the matched one: dog in hot dog."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The class, or by words all classes; none without a match."""
        return self.classes if self.result == MATCHED else ()


@dataclass(frozen=True)
class Names:
    """Classes by all of their names."""

    classes: list[str]
    by_key: dict[str, tuple[str, ...]]
    """Joined words of a name (`hotdog`) to its classes."""
    longest: int
    """Words of the longest name, plus one for a word that a file name splits."""
    by: str = "name"
    """One of BY."""

    @classmethod
    def parse(cls, lines: Iterable[str], *, by: str = "name") -> Names:
        """Return the classes of lines such as `tench, Tinca tinca`: label, then synonyms.

        Lines with the same label are separate, numbered classes. Raises MaterialError.
        """
        texts = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
        firsts = Counter(text.split(",")[0].strip() for text in texts)
        seen: Counter[str] = Counter()
        classes, by_key, longest = [], defaultdict(list), 1
        for text in texts:
            first, *others = (name.strip() for name in text.split(","))
            seen[first] += 1
            label = f"{first} ({seen[first]})" if firsts[first] > 1 else first
            classes.append(label)
            parts = [words(name) for name in (first, *others)]
            longest = max(longest, *map(len, parts))
            keys = {"".join(part) for part in parts} if by == "name" else set[str]().union(*parts)
            for key in keys - {""}:
                by_key[key].append(label)
        if not classes:
            raise MaterialError(
                "no class names: name a file with one class a line, such as 'tench, Tinca tinca'"
            )
        if empty := sorted(set(classes).difference(*by_key.values())):
            raise MaterialError(f"no words to match in: {some(empty)}")
        keyed = {key: tuple(labels) for key, labels in by_key.items()}
        return cls(classes, keyed, longest + 1 if by == "name" else 1, by)

    @property
    def shared(self) -> dict[str, tuple[str, ...]]:
        """Names of two or more classes: crane, the bird and the machine."""
        return {key: labels for key, labels in self.by_key.items() if len(labels) > 1}

    def match(self, path: str) -> Match:
        """Return the match of a file name. Names inside longer names do not count.

        By words, every class that shares one counts: dog.png is of dog and of hot dog.
        """
        named = words(Path(path).stem)
        spans = list(self._spans(named))
        outer = [span for span in spans if not any(_inside(span, other) for other in spans)]
        found = {label for i, j in outer for label in self.by_key["".join(named[i:j])]}
        inner = {label for i, j in spans for label in self.by_key["".join(named[i:j])]} - found
        several = MATCHED if self.by == "word" else AMBIGUOUS
        result = (NONE, MATCHED, several)[min(len(found), 2)]
        return Match(
            path,
            result,
            tuple(sorted(found)),
            named,
            outer[0] if outer else (0, 0),
            tuple(sorted(inner)),
        )

    def _spans(self, named: Sequence[str]) -> Iterator[tuple[int, int]]:
        for i in range(len(named)):
            for j in range(i + 1, min(i + self.longest, len(named)) + 1):
                if "".join(named[i:j]) in self.by_key:
                    yield i, j


def _inside(span: tuple[int, int], other: tuple[int, int]) -> bool:
    return other != span and other[0] <= span[0] and span[1] <= other[1]


def main(argv: list[str]) -> int:
    """Run `timbre data match` and return the exit code: 0 done, 1 error."""
    parser = argparse.ArgumentParser(
        prog="timbre data match", description="Find the classes of pictures in their file names."
    )
    parser.add_argument(
        "folder", type=Path, metavar="FOLDER", help="pictures at any depth; or a zip"
    )
    parser.add_argument(
        "classes",
        type=Path,
        metavar="CLASSES",
        help="a text file: a class a line, synonyms after commas",
    )
    parser.add_argument(
        "out", type=Path, metavar="OUT", help="a new folder for match.csv and report.md"
    )
    parser.add_argument(
        "--folders",
        type=Path,
        metavar="DIR",
        help="also link the matches into a new folder DIR/CLASS/",
    )
    parser.add_argument(
        "--by",
        choices=BY,
        default=BY[0],
        help="a file is of the class whose whole name it has, or, with more errors, of every class "
        "that has one of its words, in several at once (%(default)s)",
    )
    options = parser.parse_args(argv)
    return run_command("data match", lambda: _run(options))


def _run(options: argparse.Namespace) -> None:
    try:
        lines = options.classes.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise MaterialError(f"{options.classes} is not UTF-8 text: {error}") from error
    names = Names.parse(lines, by=options.by)
    folder = folder_of(options.folder, stage, levels=0)
    with stage("match names"):
        matches = [names.match(path) for path in picture_files(folder)]
    if not matches:
        raise MaterialError(f"no pictures in {options.folder}")
    with new_folder(options.out) as work:
        columns = ("path", "result", "label", "classes", "words")
        rows = (
            (m.path, m.result, ", ".join(m.labels), ", ".join(m.classes), " ".join(m.words))
            for m in matches
        )
        write_table(work / "match.csv", columns, rows)
        (work / "report.md").write_text(report(names, matches), encoding="utf-8")
        if options.folders:
            with new_folder(options.folders) as folders:
                sort_into(folder, matches, folders)
    counts = Counter(match.result for match in matches)
    labels = {label for match in matches for label in match.labels}
    print(
        f"{len(matches):,} pictures: "
        + ", ".join(f"{n:,} {result}" for result, n in counts.most_common())
    )
    print(
        f"{len(labels):,} of {len(names.classes):,} classes have pictures; possible mismatches: "
        f"{options.out / 'report.md'}"
    )


def sort_into(root: Path, matches: Iterable[Match], folder: Path) -> None:
    """Fill folder/CLASS/ with hard links to the matched pictures, or copies."""
    for match in matches:
        for label in match.labels:
            # The whole path, because two folders may hold the same name.
            to = folder / label.replace("/", "-") / match.path.replace("/", "__")
            to.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(root / match.path, to)
            except OSError:
                shutil.copy2(root / match.path, to)


def report(names: Names, matches: Sequence[Match]) -> str:
    """Return the matches and possible mismatches as Markdown."""
    parts = [
        "# Classes by name\n",
        _summary(matches),
        *_shared(names, matches),
        *_ambiguous(matches),
    ]
    parts += [*_inner(matches), *_company(matches), *_places(matches), *_rest(names, matches)]
    return "\n".join(parts) + "\n"


def _summary(matches: Sequence[Match]) -> str:
    counts = Counter(match.result for match in matches)
    return (
        "\n".join(f"- {result}: {counts[result]:,}" for result in (MATCHED, AMBIGUOUS, NONE)) + "\n"
    )


def _listed(title: str, lines: Iterable[str]) -> list[str]:
    bullets = [f"- {line}" for line in lines]
    return [
        f"## {title}\n",
        *bullets[:100],
        *([f"- and {len(bullets) - 100:,} more"] * (len(bullets) > 100)),
        "",
    ] * bool(bullets)


def _shared(names: Names, matches: Sequence[Match]) -> list[str]:
    if names.by == "word":
        said = Counter(word for match in matches for word in set(match.words))
        lines = [f"`{key}`: {some(list(of))}; {said[key]:,}" for key, of in names.shared.items()]
        return _listed("One word, several classes: its pictures are in all of them", lines)
    met = Counter(frozenset(match.classes) for match in matches if match.result == AMBIGUOUS)
    lines = [
        f"`{key}`: {', '.join(labels)}; {met[frozenset(labels)]:,} pictures"
        for key, labels in names.shared.items()
    ]
    return _listed("One name, several classes: none of them is chosen", lines)


def _ambiguous(matches: Sequence[Match]) -> list[str]:
    met: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for match in matches:
        if match.result == AMBIGUOUS:
            met[match.classes].append(match.path)
    ranked = sorted(met.items(), key=lambda pair: -len(pair[1]))
    return _listed(
        "Several classes in one name",
        (f"{' / '.join(labels)}: {some(paths)}" for labels, paths in ranked),
    )


def _inner(matches: Sequence[Match]) -> list[str]:
    met = Counter(
        (label, match.classes[0]) for match in matches if match.labels for label in match.inner
    )
    lines = (
        f"{inner} in {outer}: {count:,} pictures, taken as {outer}"
        for (inner, outer), count in met.most_common()
    )
    return _listed("A class inside another's name", lines)


def _company(matches: Sequence[Match]) -> list[str]:
    """Return the words right before each class: dog may be hot dog or sheep dog."""
    before: dict[str, Counter[str]] = defaultdict(Counter)
    for match in matches:
        for label in match.labels if match.span[0] else ():
            before[label][match.words[match.span[0] - 1]] += 1
    ranked = sorted(before.items(), key=lambda pair: -pair[1].total())
    lines = (
        f"{label}: "
        + ", ".join(f"{word} {label} ({count:,})" for word, count in counts.most_common(SHOWN))
        for label, counts in ranked
    )
    return _listed("Words before a class that may make it another thing", lines)


def _places(matches: Sequence[Match]) -> list[str]:
    """Return the classes in several folders: a crane among birds and among buildings."""
    met: dict[str, Counter[str]] = defaultdict(Counter)
    for match in matches:
        for label in match.labels:
            met[label][match.path.rpartition("/")[0] or "."] += 1
    ranked = sorted(met.items(), key=lambda pair: -len(pair[1]))
    lines = (
        f"{label}: "
        + ", ".join(f"{place} ({count:,})" for place, count in counts.most_common(SHOWN))
        for label, counts in ranked
        if len(counts) > 1
    )
    return _listed("A class in several folders", lines)


def _rest(names: Names, matches: Sequence[Match]) -> list[str]:
    counts = Counter(label for match in matches for label in match.labels)
    lost = Counter(word for match in matches if match.result == NONE for word in match.words)
    return [
        *_listed(
            "Words of names without a class",
            (f"{word} ({count:,})" for word, count in lost.most_common(30)),
        ),
        *_listed(
            "Pictures per class", (f"{label}: {count:,}" for label, count in counts.most_common())
        ),
        *_listed(
            "Classes without a picture", (label for label in names.classes if not counts[label])
        ),
    ]
