"""`timbre serve`: the server."""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import os
import time
from pathlib import Path
from typing import Any

from common.errors import TimbreError, Unprocessable
from common.terminal import say

KEYS_OR_INSECURE = "create one with `timbre keys create` and add --keys FILE, or add --insecure"


def main(argv: list[str]) -> int:
    """Serve until SIGTERM or SIGINT; return 0, 1 for a failure, 2 for invalid arguments."""
    since = time.monotonic()
    from service.log import configure
    from service.settings import Settings
    from service.tracing.start import check_tracing

    try:
        options = _arguments(argv)
        settings = Settings(**options)
        check_workers(options, settings.redis)
        listening = ("host", "metrics_host") if settings.metrics_port else ("host",)
        settings.check_exposure(*listening, otherwise=KEYS_OR_INSECURE)
        check_redis(settings.redis)
        check_tracing(settings.otel)
        configure(**settings.log_options)
        check_secrets(settings)
        check_trainings(settings.trainings)
        check_grpc(settings.grpc_port)
    except TimbreError as error:
        say(f"timbre serve: {error}", error=True)
        return 2
    _name_process()
    try:
        return _serve(settings, since)
    except OSError as error:
        where = error.filename or f"{settings.host}:{settings.port}"
        say(f"timbre serve: cannot listen on {where}: {error.strerror}", error=True)
        return 1


def check_workers(options: dict[str, Any], redis: str) -> None:
    """Raise Unprocessable for workers without Redis."""
    if options.get("workers") and not redis:
        raise Unprocessable("workers need Redis: add --redis URL, or remove --workers")


def check_redis(url: str) -> None:
    """Raise Unprocessable for an invalid address of Redis, before anything is started."""
    if url:
        from service.queue.redis_connection import connect

        connect(url)


def check_trainings(folder: str) -> None:
    """Raise Unprocessable for a folder of trainings that cannot be used."""
    if folder:
        from service.trainings.folder import open_folder

        open_folder(folder)


def check_grpc(port: int) -> None:
    """Raise Unprocessable for gRPC without its packages."""
    missing = [name for name in ("grpc", "google.protobuf") if port >= 0 and not _is_there(name)]
    if missing:
        raise Unprocessable(
            f"gRPC needs the package {missing[0]}, of the extra grpc:"
            " pip install 'timbre[grpc]', or in the repository pip install '.[grpc]'"
        )


def _is_there(package: str) -> bool:
    try:
        return importlib.util.find_spec(package) is not None
    except ModuleNotFoundError:  # what it is in
        return False


def check_secrets(settings: Any) -> None:
    """Raise Unprocessable for key and certificate files that cannot be used."""
    from service.auth.key_store import FileKeyStore, open_key_store
    from service.log import log
    from service.server.tls import server_context
    from service.settings import is_loopback

    server_context(settings.tls_certificate, settings.tls_key)
    if settings.keys:
        store = open_key_store(settings.keys, redis=settings.redis)
        if isinstance(store, FileKeyStore):
            asyncio.run(store.all())
        sent_by_network = settings.guards_metrics and settings.metrics_port
        if not settings.tls_key and (sent_by_network or not is_loopback(settings.host)):
            log("API keys are sent unencrypted", see="tls_certificate, or a proxy that speaks TLS")


def _serve(settings: Any, since: float) -> int:
    if settings.gateways > 1 or (settings.redis and settings.workers):
        from service.server.supervisor import Supervisor

        return Supervisor(settings, since=since).run()
    from service.server import gateway_process
    from service.server.sockets import bind

    return gateway_process.run(settings, bind(settings), since=since)


def _arguments(argv: list[str]) -> dict[str, Any]:
    """Return the settings given on the command line."""
    given = vars(_parser().parse_args(argv))
    from service.settings import REDIS_VARIABLE, parse

    others = {"redis": os.environ.get(REDIS_VARIABLE, "")} | parse(given.pop("set"))
    return others | {name: value for name, value in given.items() if value is not None}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="timbre serve", description="Serve the models over HTTP and WebSocket."
    )
    parser.add_argument("--host", help="address to listen on (127.0.0.1)")
    parser.add_argument("--port", type=int, help="port to listen on, 0 for any (8000)")
    parser.add_argument(
        "--grpc-port", type=int, metavar="PORT",
        help="also serve the Open Inference Protocol over gRPC here, 0 for any (not)",
    )  # fmt: skip
    parser.add_argument(
        "--gateways", type=int, metavar="N", help="processes that share the port (1)"
    )
    parser.add_argument("--metrics-port", type=int, metavar="N", help="port for GET /metrics alone")
    parser.add_argument(
        "--redis", metavar="URL", help="use the queue in Redis (TIMBRE_REDIS, or none)"
    )
    parser.add_argument(
        "--workers", type=int, metavar="N", help="with --redis, processes that run models (1)"
    )
    parser.add_argument(
        "--artefacts",
        type=Path,
        metavar="DIR",
        help="folder of NAME/VERSION/ artefacts (the shipped)",
    )
    _add_policy(parser)
    return parser


def _add_policy(parser: argparse.ArgumentParser) -> None:
    """Add the options that say who may do what, and any other."""
    parser.add_argument(
        "--keys", metavar="FILE", help="require API keys from this file; `redis` for keys in Redis"
    )
    parser.add_argument("--trainings", metavar="DIR", help="accept trainings, and clips for them")
    parser.add_argument(
        "--insecure", action="store_true", default=None, help="listen beyond loopback without keys"
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="any other setting, see SETTINGS.md; may be repeated",
    )


def _name_process() -> None:
    from setproctitle import setproctitle

    setproctitle("timbre serve")
