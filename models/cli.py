"""`timbre models`: lists, shows, verifies, promotes, quantises, imports and changes artefacts."""

from __future__ import annotations

import argparse
import dataclasses
import importlib.metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich import box
from rich.markup import escape
from rich.table import Table

from common import terminal
from common.console import console
from common.errors import ArtefactError, InputError, NotFound, Unprocessable
from common.mapping import parse_json
from common.strict_json import to_json
from common.terminal import say
from models import event_settings
from models.export import sklearn_import
from models.promote import Limits, promote
from models.store import DEFAULT_PATH, Store
from models.verification import LIMIT_S, VerifierProcess

if TYPE_CHECKING:
    from models.manifest import InputSpec, Manifest

OK, REFUSED, UNKNOWN = 0, 1, 3
GROUP = "timbre.models"
"""Entry points of sub-commands that need more than the folder, such as a server."""
LIMITS = {
    "latency_ms": "longest time of one window, in ms",
    "size_mb": "largest size, in MB",
    "quiet": "least share of noise and silence without a label",
    "loss": "how far macro-F1 and top-1 may fall",
}
EXIT_CODES = (
    "exit codes: 0 success, 1 artefact rejected, 2 invalid arguments, 3 unknown model or version"
)


def main(argv: list[str]) -> int:
    """Run `timbre models` with these arguments and return the exit code."""
    others = importlib.metadata.entry_points(group=GROUP)
    if argv and argv[0] in others.names:
        code: int = others[argv[0]].load()(argv[1:])
        return code
    args = _parser().parse_args(argv)
    store = Store(args.artefacts, load_timeout=LIMIT_S)
    try:
        code = args.run(store, args)
    except NotFound as error:
        say(f"timbre models: {error}", error=True)
        return UNKNOWN
    except (ArtefactError, InputError) as error:
        say(f"timbre models: rejected: {error}", error=True)
        return REFUSED
    return code


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--artefacts",
        type=Path,
        default=DEFAULT_PATH,
        metavar="DIR",
        help="folder of NAME/VERSION/",
    )
    common.add_argument("--json", action="store_true", help="print JSON instead of tables")
    parser = argparse.ArgumentParser(prog="timbre models", description=__doc__, epilog=EXIT_CODES)
    actions = parser.add_subparsers(
        required=True, metavar="list | show | verify | promote | quantize | events | import | load"
    )
    _add_reading(actions, common)
    for name in importlib.metadata.entry_points(group=GROUP).names:
        actions.add_parser(name, help=f"see timbre models {name} --help", add_help=False)
    _add_quantising(
        actions.add_parser("quantize", parents=[common], help="write a network in lower precision")
    )
    _add_events(
        actions.add_parser(
            "events", parents=[common], help="write an artefact with other settings of its events"
        )
    )
    _add_thresholds(
        actions.add_parser(
            "thresholds", parents=[common], help="write an artefact with other thresholds"
        )
    )
    sklearn_import.add_parser(actions, common).set_defaults(run=_import)
    _add_promotion(
        actions.add_parser(
            "promote",
            help="copy a trained candidate to the served artefacts, if it passes the checks",
        )
    )
    return parser


def _add_reading(actions: Any, common: argparse.ArgumentParser) -> None:
    """Add `list`, `show` and `verify`."""
    listing = actions.add_parser(
        "list", parents=[common], help="every model and version, and whether it loads"
    )
    listing.set_defaults(run=_list)
    showing = actions.add_parser(
        "show", parents=[common], help="labels, metrics and provenance of one artefact"
    )
    showing.add_argument("name", metavar="NAME")
    showing.add_argument("version", metavar="VERSION", nargs="?", help="the latest by default")
    showing.set_defaults(run=_show)
    verifying = actions.add_parser(
        "verify", parents=[common], help="load every version, fail if one is rejected"
    )
    verifying.add_argument("name", metavar="NAME", nargs="?", help="all models by default")
    verifying.set_defaults(run=_verify)


def _add_quantising(quantising: argparse.ArgumentParser) -> None:
    quantising.add_argument("name", metavar="NAME")
    quantising.add_argument("version", metavar="VERSION", nargs="?", help="the latest by default")
    how = quantising.add_mutually_exclusive_group(required=True)
    how.add_argument(
        "--fp16",
        dest="how",
        action="store_const",
        const="fp16",
        help="half precision, for accelerators",
    )
    how.add_argument(
        "--int8",
        dest="how",
        action="store_const",
        const="int8",
        help="8-bit integers, for processors",
    )
    text = (
        "pictures or sounds for calibration and evaluation: a folder, zip or pack; folders named "
        "after labels give top-1"
    )
    quantising.add_argument("--calibration", type=Path, metavar="PATH", help=text)
    quantising.add_argument(
        "--out", type=Path, default=Path("artefacts"), metavar="DIR", help="%(default)s as default"
    )
    quantising.set_defaults(run=_quantize)


def _add_events(changing: argparse.ArgumentParser) -> None:
    changing.add_argument("name", metavar="NAME")
    changing.add_argument("version", metavar="VERSION", nargs="?", help="the latest by default")
    changing.add_argument(
        "--set",
        required=True,
        metavar="JSON",
        help="off, gap, min_length and rise by label, or by * for all: "
        '{"flute": {"gap": 0.5}, "*": {"rise": 1}}',
    )
    changing.add_argument(
        "--out", type=Path, default=Path("artefacts"), metavar="DIR", help="%(default)s as default"
    )
    changing.set_defaults(run=_events)


def _add_thresholds(changing: argparse.ArgumentParser) -> None:
    changing.add_argument("name", metavar="NAME")
    changing.add_argument("version", metavar="VERSION", nargs="?", help="the latest by default")
    changing.add_argument(
        "--set", required=True, metavar="JSON", help='thresholds by label: {"flute": 0.6}'
    )
    changing.add_argument(
        "--out", type=Path, default=Path("artefacts"), metavar="DIR", help="%(default)s as default"
    )
    changing.set_defaults(run=_thresholds)


def _add_promotion(promoting: argparse.ArgumentParser) -> None:
    promoting.add_argument("name", metavar="NAME")
    promoting.add_argument("version", metavar="VERSION", help="of the candidate")
    options = promoting.add_argument
    options(
        "--from",
        dest="source",
        type=Path,
        default=Path("artefacts"),
        metavar="DIR",
        help="%(default)s as default",
    )
    options(
        "--to",
        dest="artefacts",
        type=Path,
        default=DEFAULT_PATH,
        metavar="DIR",
        help="folder of the served artefacts",
    )
    for field in dataclasses.fields(Limits):
        option, what = f"--{field.name.replace('_', '-')}", LIMITS[field.name]
        options(
            option, type=float, default=field.default, metavar="X", help=f"{what} (%(default)s)"
        )
    options(
        "--rehearsal",
        type=Path,
        metavar="FILE",
        help="of timbre rehearse: demand that it is of this candidate against the served version",
    )
    options("--json", action="store_true", help="print name, version and measurements as JSON")
    options("--force", action="store_true", help="copy it although it does not pass, and print why")
    promoting.set_defaults(run=_promote)


def _list(store: Store, args: argparse.Namespace) -> int:
    _print_rows(_examined(store, store.names()), as_json=args.json)
    return OK


def _verify(store: Store, args: argparse.Namespace) -> int:
    names = store.names() if args.name is None else [args.name]
    if not names:
        raise NotFound(f"no models in {store.path}")
    rows = _examined(store, names)
    _print_rows(rows, as_json=args.json)
    return OK if all(row["status"] == "ok" for row in rows) else REFUSED


def _show(store: Store, args: argparse.Namespace) -> int:
    manifest = store.load(args.name, args.version).manifest
    if args.json:
        print(manifest.to_json(), end="")
    else:
        _print_manifest(manifest)
    return OK


def _promote(store: Store, args: argparse.Namespace) -> int:
    limits = Limits(
        **{field.name: getattr(args, field.name) for field in dataclasses.fields(Limits)}
    )
    where, found = promote(
        args.name,
        args.version,
        source=args.source,
        target=store.path,
        limits=limits,
        force=args.force,
        rehearsed=args.rehearsal,
    )
    for reason in found.reasons:
        say(f"timbre models: would be rejected: {reason}", error=True)
    if args.json:
        print(to_json({"name": args.name, "version": where.name, "measured": found.measured}))
        return OK
    print(where, *(f"{name} {value:.3g}" for name, value in found.measured.items()), sep="  ")
    return OK


def _quantize(store: Store, args: argparse.Namespace) -> int:
    from models.export.quantize import quantize

    where, measured = quantize(
        store, args.name, args.version, how=args.how, calibration=args.calibration, out=args.out
    )
    if args.json:
        print(to_json({"path": str(where), **measured}))
    else:
        print(where)
        _print_pairs(
            ("measured", "before -> after"),
            {name: _before_and_after(value) for name, value in measured.items()},
        )
    return OK


def _events(store: Store, args: argparse.Namespace) -> int:
    settings = parse_json(args.set, error=Unprocessable, where="--set")
    where = event_settings.change(store, args.name, args.version, settings, out=args.out)
    print(to_json({"path": str(where)}) if args.json else where)
    return OK


def _thresholds(store: Store, args: argparse.Namespace) -> int:
    values = parse_json(args.set, error=Unprocessable, where="--set")
    where = event_settings.set_thresholds(store, args.name, args.version, values, out=args.out)
    print(to_json({"path": str(where)}) if args.json else where)
    return OK


def _import(_: Store, args: argparse.Namespace) -> int:
    where = sklearn_import.import_pipeline(args)
    print(to_json({"path": str(where)}) if args.json else where)
    return OK


def _before_and_after(value: Any) -> str:
    if isinstance(value, list):
        return " -> ".join(f"{each:.3g}" for each in value)
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _examined(store: Store, names: list[str]) -> list[dict[str, Any]]:
    """Return a row for every version, verified by one process, which one of them may end."""
    found = [(name, version) for name in names for version in store.versions(name)]
    with VerifierProcess() as process:
        return [_examine(store, process, *each) for each in found]


def _examine(store: Store, process: VerifierProcess, name: str, version: str) -> dict[str, Any]:
    row: dict[str, Any] = {"name": name, "version": version}
    try:
        manifest, provider = store.check(name, version, process)
    except ArtefactError as error:
        return {**row, "status": f"rejected: {error}"}
    size = sum(file.stat().st_size for file in (store.path / name / version).iterdir())
    return {
        **row,
        "task": manifest.task,
        "input": _describe(manifest.input),
        "labels": len(manifest.labels),
        "mb": round(size / 1e6, 1),
        "provider": provider,
        "status": "ok",
    }


def _describe(spec: InputSpec) -> str:
    return f"{spec.kind} {'x'.join(map(str, spec.shape))}"


def _print_rows(rows: list[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        print(to_json(rows, indent=2))
    else:
        _print_table(
            ("name", "version", "task", "input", "labels", "mb", "provider", "status"), rows
        )


def _print_manifest(manifest: Manifest) -> None:
    facts = {
        "model": f"{manifest.name} {manifest.version}",
        "task": manifest.task,
        "created": manifest.created,
        "input": _describe(manifest.input),
        "dtype": manifest.input.dtype,
        "fingerprint": manifest.input.fingerprint,
        **manifest.input.configuration,
    }
    _print_pairs(("", " "), facts)
    _print_pairs(("label", "threshold"), {label.name: label.threshold for label in manifest.labels})
    _print_pairs(("metric", "value"), manifest.metrics)
    _print_table(("source", "licence", "use"), [dict(source) for source in manifest.provenance])
    _print_pairs(("library", "version"), manifest.libraries)
    _print_pairs(("origin", " "), manifest.origin)
    _print_pairs(("file", "sha256"), manifest.files)


def _print_pairs(columns: tuple[str, str], pairs: dict[str, Any]) -> None:
    _print_table(columns, [dict(zip(columns, pair, strict=True)) for pair in pairs.items()])


def _print_table(columns: tuple[str, ...], rows: list[dict[str, Any]]) -> None:
    """Print a table; cells that do not fit are folded, not cut off."""
    table = Table(box=box.SIMPLE, pad_edge=False, collapse_padding=True)
    for column in columns:
        table.add_column(column, overflow="fold", no_wrap=column == columns[0])
    for row in rows:
        table.add_row(*(escape(terminal.escape(row.get(column, ""))) for column in columns))
    console().print(table)
